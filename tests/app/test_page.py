"""The page around the picture in a real browser: overlays, links, files, refusals, looks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.gestures import PATIENCE, click, drag, ready, selected

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("overlay", "unit", "note"),
    [
        ("rollout", "%", "text holds"),
        ("attention", "%", "where a position reads"),
        ("gradient_x_input", "logits", "first-order"),
        ("integrated_gradients", "logits", "converged"),
    ],
)
def test_an_overlay_has_numbers_beside_its_colours(page: Page, overlay: str, unit: str, note: str):
    page.select_option("#overlay", overlay)
    expect(page.locator("#legend")).to_be_visible(timeout=2 * PATIENCE)
    expect(page.locator("#high")).to_contain_text(unit)
    expect(page.locator("#legend-note")).to_contain_text(note)
    expect(page.locator("#strongest")).to_contain_text("row ")
    page.locator("#stage").hover(position={"x": 30, "y": 30})
    expect(page.locator("#cursor")).to_contain_text(unit)
    assert page.locator("#token-label").is_visible() == ("gradient" in overlay)
    assert page.locator("#heads-card").is_visible() == (overlay == "attention")


def test_a_link_restores_the_state(page: Page, chromium: Browser):
    page.get_by_role("button", name="Describe this image.").click()
    ready(page)
    drag(page, (1, 1), (3, 2))
    page.get_by_label("knock out attention from the last position").check()
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
    expect(other.get_by_label("knock out attention from the last position")).to_be_checked()
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
