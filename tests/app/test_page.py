"""The page in a real browser, over the embedded model: what a user does, and what leaves."""

from __future__ import annotations

import ast
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect

import retinoscope as rs
from retinoscope.app import Limits
from retinoscope.app.listening import address, bound, server
from retinoscope.app.session import new_session
from retinoscope.data import load_image, open_data
from retinoscope.models import load, mean_token

pytestmark = pytest.mark.browser

PATIENCE = 60_000
"""Milliseconds that the model may take on a busy machine."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The explorer on a free port, its model's mean taken over a few scenes only."""
    dataset = open_data("embedded:4", seed=7)
    checkpoint = load("embedded")
    mean = mean_token(checkpoint, (load_image(sample) for sample in dataset.samples)).value
    vlm = rs.VLM(replace(checkpoint, mean=mean))
    session = new_session(vlm, "embedded", "embedded:4", dataset, Limits(), room=12)
    with bound("127.0.0.1", 0) as listening:
        serving = server(session, listening)
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
        thread.start()
        yield address(listening)
        serving.should_exit = True
        thread.join()


@pytest.fixture
def page(chromium: Browser, url: str) -> Iterator[Page]:
    """The page, looked at with the first example; what it complains of or sends away fails."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    sent: list[str] = []
    opened.on("request", lambda request: sent.append(request.url))
    opened.goto(url)
    ready(opened)
    yield opened
    context.close()
    # Chromium itself reports every refused request; these are the tests' own.
    assert [text for text in wrong if not text.startswith("Failed to load resource")] == []
    assert {urlsplit(place).netloc for place in sent} == {urlsplit(url).netloc}


def ready(page: Page) -> None:
    expect(page.locator("#grow")).to_be_enabled()


def selected(page: Page, count: int) -> None:
    text = f"{count} of 144 patches selected" if count else "No patch selected"
    expect(page.locator("#count")).to_have_text(text)


def centre(page: Page, row: int, column: int) -> tuple[float, float]:
    box = page.locator("#stage").bounding_box()
    assert box is not None
    return (
        box["x"] + box["width"] * (column + 0.5) / 12,
        box["y"] + box["height"] * (row + 0.5) / 12,
    )


def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    page.locator("#stage").scroll_into_view_if_needed()
    page.mouse.move(*centre(page, *start))
    page.mouse.down()
    page.mouse.move(*centre(page, *end), steps=4)
    page.mouse.up()


def click(page: Page, row: int, column: int) -> None:
    page.locator("#stage").scroll_into_view_if_needed()
    page.mouse.click(*centre(page, row, column))


def test_patches_are_selected_by_pointer(page: Page):
    click(page, 2, 3)
    selected(page, 1)
    expect(page.locator("#cursor")).to_contain_text("Row 3, column 4")
    drag(page, (4, 4), (6, 7))
    selected(page, 13)
    page.keyboard.down("Shift")
    drag(page, (4, 4), (4, 7))
    page.keyboard.up("Shift")
    selected(page, 9)
    click(page, 2, 3)
    selected(page, 8)
    page.get_by_role("button", name="Clear").click()
    selected(page, 0)
    expect(page.locator("#after-row")).to_be_hidden()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def test_patches_are_selected_by_keys(page: Page):
    page.locator("#stage").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#cursor")).to_have_text("Row 2, column 2")
    page.keyboard.press("Space")
    selected(page, 1)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    selected(page, 3)
    expect(page.locator("#cursor")).to_have_text("Row 3, column 3, selected")
    page.keyboard.press("Escape")
    selected(page, 0)


def test_selections_are_made_of_selections(page: Page):
    click(page, 0, 0)
    selected(page, 1)
    page.get_by_role("button", name="Grow by one").click()
    selected(page, 4)
    link = page.url
    page.get_by_role("button", name="Same number at random").click()
    page.wait_for_url(lambda now: now != link)
    selected(page, 4)
    page.get_by_role("button", name="Invert").click()
    selected(page, 140)
    page.locator("#objects button").first.click()
    expect(page.locator("#count")).not_to_have_text("140 of 144 patches selected")


def test_ablating_and_blocking_move_the_bars_and_the_lens_follows(page: Page):
    expect(page.locator("#after-row")).to_be_hidden()
    drag(page, (2, 2), (9, 9))
    expect(page.locator("#after-row")).to_be_visible()
    expect(page.locator("#bars")).to_contain_text("→")
    expect(page.locator("#lens tbody tr")).to_have_count(9)
    expect(page.locator("#lens-note")).to_contain_text("64 patches")
    shown = {page.locator("#bars").inner_text()}
    actions = {
        "replace by zero": "zero",
        "replace by noise": "noise",
        "block from the last position": "block",
    }
    for name, action in actions.items():
        with page.expect_response("**/api/intervene") as answered:
            page.get_by_label(name).check()
        sent = json.loads(answered.value.request.post_data or "")["action"]
        assert action in sent.values()
        expect(page.locator("#answer-card")).to_have_attribute("aria-busy", "false")
        shown.add(page.locator("#bars").inner_text())
    # Two of them may move the answer as far as it goes, and so alike.
    assert len(shown) > 1
    assert page.locator("#first").is_enabled()
    with page.expect_request("**/api/intervene") as asked:
        page.locator("#first").fill("4")
    sent = json.loads(asked.value.post_data or "")
    assert sent["action"] == {"type": "block", "first": 4, "last": 7}
    expect(page.locator("#layers-shown")).to_have_text("4 to 7")


def test_an_intervention_is_kept_while_another_is_made(page: Page, chromium: Browser):
    drag(page, (1, 1), (2, 2))
    selected(page, 4)
    page.get_by_label("replace by zero").check()
    page.get_by_role("button", name="Keep, and add another").click()
    selected(page, 0)
    expect(page.locator("#kept li")).to_have_count(1)
    expect(page.locator("#kept li")).to_contain_text("4 patches replaced by zero")
    expect(page.locator("#keep")).to_be_disabled()
    page.get_by_label("block from the last position").check()

    def blocks_one(request: Request) -> bool:
        body = json.loads(request.post_data or "{}")
        return "/api/intervene" in request.url and len(body["patches"]) == 1

    with page.expect_request(blocks_one) as asked:
        click(page, 8, 8)
    sent = json.loads(asked.value.post_data or "")
    (kept,) = sent["kept"]
    assert kept["action"] == {"type": "ablate", "value": "zero", "seed": kept["action"]["seed"]}
    assert kept["patches"] == [13, 14, 25, 26]
    expect(page.locator("#answer-card")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#lens tbody tr")).to_have_count(9)
    shown = page.locator("#bars").inner_text()
    context = chromium.new_context()
    other = context.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(page.url)
    ready(other)
    expect(other.locator("#kept li")).to_have_count(1)
    expect(other.locator("#bars")).to_have_text(page.locator("#bars").text_content() or "")
    assert other.locator("#bars").inner_text() == shown
    context.close()
    page.get_by_role("button", name="Export Python").click()
    expect(page.locator("#code")).to_contain_text("view.answer(kept_1, change)")
    ast.parse(page.locator("#code").inner_text())
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Remove: 4 patches replaced by zero").click()
    expect(page.locator("#kept")).to_be_hidden()


def test_one_patchs_words_have_probabilities(page: Page):
    click(page, 5, 5)
    expect(page.locator("#lens-note")).to_contain_text("one patch")
    expect(page.locator("#lens tbody tr").first.locator("td.word")).to_have_count(5)


@pytest.mark.parametrize(
    ("overlay", "unit", "note"), [("rollout", "%", "text holds"), ("gradients", "logits", "points")]
)
def test_an_overlay_has_numbers_beside_its_colours(page: Page, overlay: str, unit: str, note: str):
    page.select_option("#overlay", overlay)
    expect(page.locator("#legend")).to_be_visible(timeout=2 * PATIENCE)
    expect(page.locator("#high")).to_contain_text(unit)
    expect(page.locator("#legend-note")).to_contain_text(note)
    expect(page.locator("#strongest")).to_contain_text("row ")
    page.locator("#stage").hover(position={"x": 30, "y": 30})
    expect(page.locator("#cursor")).to_contain_text(unit)
    assert page.locator("#token-label").is_visible() == (overlay == "gradients")


def test_a_link_restores_the_state(page: Page, chromium: Browser):
    page.get_by_role("button", name="Describe this image.").click()
    ready(page)
    drag(page, (1, 1), (3, 2))
    page.get_by_label("block from the last position").check()
    page.locator("#last").fill("5")
    page.select_option("#overlay", "rollout")
    expect(page.locator("#legend")).to_be_visible()
    expect(page.locator("#layers-shown")).to_have_text("0 to 5")
    expect(page.locator("#answer-card")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#lens tbody tr")).to_have_count(9)
    shown = [page.locator(name).inner_text() for name in ("#before", "#after", "#bars", "#lens")]
    context = chromium.new_context()
    other = context.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(page.url)
    ready(other)
    selected(other, 6)
    expect(other.locator("#question")).to_have_value("Describe this image.")
    expect(other.get_by_label("block from the last position")).to_be_checked()
    expect(other.locator("#legend")).to_be_visible()
    expect(other.locator("#bars")).to_contain_text("→")
    expect(other.locator("#lens tbody tr")).to_have_count(9)
    again = [other.locator(name).inner_text() for name in ("#before", "#after", "#bars", "#lens")]
    assert again == shown
    context.close()


@pytest.mark.parametrize(
    "fragment", ["image=example-0&question=x&patches=9-1", "image=x&question=y"]
)
def test_a_link_that_makes_no_sense_says_so(page: Page, url: str, fragment: str):
    page.goto(f"{url}#{fragment}")
    expect(page.locator("#notice")).to_be_visible()
    page.locator("#examples button").nth(1).click()
    ready(page)
    expect(page.locator("#notice")).to_be_hidden()


def test_a_good_file_is_looked_at_and_a_bad_one_refused(page: Page, encoded, tmp_path: Path):
    (tmp_path / "bad.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "cut.png").write_bytes(encoded()[:400])
    (tmp_path / "good.png").write_bytes(encoded(size=(90, 60)))
    page.set_input_files("#file", tmp_path / "bad.png")
    expect(page.locator("#notice")).to_contain_text("bad.png: this is an SVG")
    page.set_input_files("#file", tmp_path / "cut.png")
    expect(page.locator("#notice")).to_contain_text("truncated")
    page.set_input_files("#file", tmp_path / "good.png")
    expect(page.locator("#image-title")).to_have_text("good.png")
    expect(page.locator("#notice")).to_be_hidden()
    ready(page)
    assert re.search(r"image=[0-9a-f]{64}", page.url)
    expect(page.locator("#objects button")).to_have_count(0)


def test_the_exported_lines_are_python(page: Page):
    drag(page, (1, 1), (2, 2))
    page.get_by_role("button", name="Export Python").click()
    expect(page.locator("#exported")).to_be_visible()
    code = page.locator("#code").inner_text()
    ast.parse(code)
    assert "rs.Ablate(tokens, 'mean')" in code
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#exported")).to_be_hidden()


def test_a_vocabulary_of_markup_is_shown_as_text(page: Page, monkeypatch: pytest.MonkeyPatch):
    odd = [
        "<img src=x onerror=alert(1)>",
        "</table><script>alert(2)</script>",
        "\u202ereversed",
        "\ud800",
    ]
    monkeypatch.setattr(
        "retinoscope.app.writing.spelled", lambda _: [odd[i % 4] for i in range(9999)]
    )
    page.locator("#examples button").nth(1).click()
    ready(page)
    drag(page, (3, 3), (5, 5))
    expect(page.locator("#lens tbody tr")).to_have_count(9)
    text = page.locator("#lens").inner_text() + page.locator("#bars").inner_text()
    assert any(word in text for word in odd[:2])
    assert "\u202e" not in text
    assert page.locator("#lens img, #lens script, #bars img, #bars script").count() == 0


@pytest.mark.parametrize(
    ("status", "message"), [(503, "A full queue."), (None, "server does not answer")]
)
def test_a_refusal_is_told_and_gone_on_from(page: Page, status: int | None, message: str):
    def refuse(route):
        if status is None:
            route.abort()
        else:
            route.fulfill(status=status, json={"kind": "Busy", "message": "A full queue."})

    page.route("**/api/look", refuse)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#notice")).to_contain_text(message)
    page.unroute("**/api/look")
    page.get_by_role("button", name="Ask").click()
    ready(page)
    expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.parametrize("width", [1280, 400])
def test_every_control_has_a_name_and_nothing_overflows(page: Page, width: int):
    page.set_viewport_size({"width": width, "height": 800})
    # The grid is drawn anew in the frame after the page is laid out.
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    page.locator("#stage").scroll_into_view_if_needed()
    click(page, 5, 5)
    selected(page, 1)
    expect(page.locator("#lens tbody tr")).to_have_count(9)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas, [tabindex]")]
            .filter((node) => !(node.textContent.trim() || node.ariaLabel || node.labels?.length
                || node.getAttribute("aria-labelledby") || node.querySelector("img[alt]")))
            .map((node) => node.outerHTML)"""
    )
    assert nameless == []


def test_the_theme_turns(page: Page):
    colours = []
    for _ in range(2):
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.locator("#theme").click()
    assert colours[0] != colours[1]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colours[0]
