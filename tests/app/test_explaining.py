"""Words of the answer, attention by head, several images, undoing and saving, in a real browser."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect

from tests.app.gestures import click, drag, ready, selected

pytestmark = pytest.mark.browser


def settled(page: Page) -> None:
    expect(page.locator("#status")).to_be_hidden()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def alphas(page: Page) -> list[float]:
    """How opaque the overlay is over each patch, as the page paints it."""
    return page.evaluate(
        """async () => {
            const { page } = await import("/static/page.js");
            const { scores, scale } = page.stage;
            return scores.map((score) => Number(scale.colour(score).match(/[/] ([0-9.]+)/)[1]));
        }"""
    )


def test_a_word_is_chosen_and_what_made_it_is_shown(page: Page):
    words = page.locator("#words button")
    answer = page.locator("#before").inner_text()
    said = [text.split("\n")[0] for text in words.all_inner_texts()]
    assert "".join(said) == answer.replace(" ", "")
    with page.expect_request("**/api/overlay") as asked:
        words.nth(1).click()
    sent = json.loads(asked.value.post_data or "")
    assert (sent["reading"], sent["places"]) == ("integrated_gradients", [1])
    expect(page.locator("#legend")).to_be_visible()
    expect(page.locator("#explains")).to_contain_text(f"“{said[1]}”")
    expect(words.nth(1)).to_have_attribute("aria-pressed", "true")
    # By keys, several together.
    words.nth(3).focus()
    with page.expect_request("**/api/overlay") as asked:
        page.keyboard.press("Enter")
    assert json.loads(asked.value.post_data or "")["places"] == [1, 3]
    expect(page.locator("#explains")).to_contain_text(f"“{said[1]}” “{said[3]}”")
    expect(words.nth(3)).to_be_focused()


def test_attention_is_shown_with_the_intervention_in_force(page: Page):
    expect(page.get_by_label("with the intervention in force")).to_be_hidden()
    page.select_option("#overlay", "attention")
    drag(page, (2, 2), (4, 5))
    page.get_by_label("knock out attention from the last position").check()
    expect(page.locator("#bars")).to_contain_text("→")
    settled(page)
    clean = alphas(page)
    page.get_by_label("with the intervention in force").check()
    expect(page.locator("#legend-note")).to_contain_text("With the intervention in force")
    settled(page)
    knocked = [12 * row + column for row in (2, 3, 4) for column in (2, 3, 4, 5)]
    changed = alphas(page)
    assert changed != clean and not any(changed[patch] for patch in knocked)
    # It follows what is changed, and the link keeps it.
    with page.expect_request("**/api/overlay") as asked:
        page.locator("#first").fill("6")
    (step,) = json.loads(asked.value.post_data or "")["steps"]
    assert step["action"]["first"] == 6
    assert "under=1" in page.url
    page.get_by_role("button", name="Export Python").click()
    expect(page.locator("#code")).to_contain_text("said.attention(change)")


def test_overlays_leave_the_image_visible_where_they_are_low(page: Page):
    page.select_option("#overlay", "rollout")
    expect(page.locator("#legend")).to_be_visible()
    settled(page)
    opaque = sorted(alphas(page))
    assert opaque[0] < 0.3 and 0.8 < opaque[-1] < 0.95


def test_words_show_what_an_intervention_takes_from_each(page: Page):
    expect(page.locator("#words small").first).not_to_contain_text("→")
    drag(page, (0, 0), (11, 11))
    expect(page.locator("#words small").first).to_contain_text("→")
    numbers = page.locator("#words small").all_inner_texts()
    assert all("→" in text for text in numbers)
    assert any(text.split(" → ")[0] != text.split(" → ")[1] for text in numbers)


def test_a_head_is_chosen_by_keys_and_a_token_of_the_prompt_asks(page: Page):
    page.select_option("#overlay", "attention")
    expect(page.locator("#heads button")).to_have_count(48)
    settled(page)
    page.locator("#heads button").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    with page.expect_request("**/api/overlay") as asked:
        page.keyboard.press("Enter")
    sent = json.loads(asked.value.post_data or "")
    assert (sent["layer"], sent["head"]) == (1, 1)
    expect(page.locator("#attention-layer")).to_have_value("1")
    settled(page)
    expect(page.locator('#heads button[aria-pressed="true"]')).to_be_focused()
    token = page.locator("#text button").nth(2)
    with page.expect_request("**/api/overlay") as asked:
        token.click()
    assert json.loads(asked.value.post_data or "")["queries"] != []
    expect(page.locator("#query")).to_have_value("text")
    settled(page)
    page.select_option("#query", "patches")
    expect(page.locator("#overlay-hint")).to_contain_text("Select the patches")
    with page.expect_request("**/api/overlay") as asked:
        click(page, 0, 0)
    assert len(json.loads(asked.value.post_data or "")["queries"]) == 1


def _heads(sent: Request) -> list[int] | None:
    if not sent.url.endswith("/api/intervene"):
        return None
    return json.loads(sent.post_data or "")["action"].get("heads")


def test_heads_are_knocked_out_and_states_patched_and_steered(page: Page):
    drag(page, (3, 3), (8, 8))
    settled(page)
    with page.expect_response("**/api/intervene"):
        page.get_by_label("knock out attention from the last position").check()
    # Of all heads it may be asked once more before the click is heard.
    with page.expect_request(lambda sent: _heads(sent) == [2]):
        page.get_by_role("button", name="Head 2").click()
    settled(page)
    page.get_by_label("patch from another image").check()
    with page.expect_request("**/api/intervene") as asked:
        page.select_option("#other", index=1)
    sent = json.loads(asked.value.post_data or "")["action"]
    assert sent == {"type": "patch", "image": "example-1", "layer": 0}
    settled(page)
    page.get_by_label("steer to a word").check()
    with page.expect_request("**/api/intervene") as asked:
        page.locator("#word").fill("cactus")
        page.locator("#word").press("Enter")
    sent = json.loads(asked.value.post_data or "")["action"]
    assert sent == {"type": "steer", "word": "cactus", "layer": 0, "strength": 2}
    page.get_by_role("button", name="Keep, and add another").click()
    expect(page.locator("#kept li")).to_contain_text("36 patches steered to “cactus” at layer 0")
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    ready(page)
    expect(page.locator("#kept li")).to_contain_text("steered to “cactus”")


def test_steps_are_undone_and_done_again(page: Page):
    expect(page.locator("#undo")).to_be_disabled()
    drag(page, (1, 1), (2, 2))
    selected(page, 4)
    page.wait_for_timeout(800)
    click(page, 5, 5)
    selected(page, 5)
    page.get_by_label("replace by zero").check()
    page.keyboard.press("Control+z")
    expect(page.get_by_label("replace by the mean token")).to_be_checked()
    page.keyboard.press("Control+z")
    selected(page, 4)
    page.get_by_role("button", name="Undo").click()
    selected(page, 0)
    expect(page.locator("#undo")).to_be_disabled()
    page.keyboard.press("Control+Shift+z")
    selected(page, 4)
    page.locator("#past-card summary").click()
    page.get_by_role("button", name="Selected 5 patches").click()
    selected(page, 5)
    settled(page)


def test_several_images_are_shown_in_one_prompt(page: Page):
    page.get_by_label("show the next one beside").check()
    page.locator("#examples button").nth(2).click()
    ready(page)
    expect(page.locator("#stages canvas")).to_have_count(2)
    page.locator("#stage-2").focus()
    page.keyboard.press("Space")
    expect(page.locator("#count")).to_have_text("1 of 288 patches selected")
    expect(page.locator("#cursor")).to_have_text("Image 2, row 0, column 0, selected")
    assert "patches=144" in page.url
    settled(page)
    page.get_by_role("button", name="Take image 1 away").click()
    ready(page)
    expect(page.locator("#stages canvas")).to_have_count(1)
    expect(page.locator("#image-title")).not_to_contain_text(" and ")


def test_pictures_and_tables_are_saved(page: Page, tmp_path: Path):
    page.select_option("#overlay", "attention")
    drag(page, (1, 1), (2, 2))
    expect(page.locator("#heads button")).to_have_count(48)
    expect(page.locator("#lens tbody tr")).to_have_count(9)
    settled(page)
    counts = {"scores": 144, "heads": 48, "lens": None, "words": None, "next tokens": None}
    for name, count in {**counts, "text's attention": None}.items():
        with page.expect_download() as saved:
            page.get_by_role("button", name=f"Save the {name} as CSV").click()
        saved.value.save_as(tmp_path / "table.csv")
        with (tmp_path / "table.csv").open() as file:
            rows = list(csv.reader(file))
        assert len({len(row) for row in rows}) == 1
        assert len(rows) - 1 == count if count else len(rows) > 2
    for name in ("image", "heads"):
        for kind in ("SVG", "PNG"):
            with page.expect_download() as saved:
                page.get_by_role("button", name=f"Save the {name} as {kind}").click()
            path = tmp_path / saved.value.suggested_filename
            saved.value.save_as(path)
            if kind == "SVG":
                tree = ElementTree.parse(path).getroot()
                assert len([node for node in tree.iter() if node.tag.endswith("rect")]) >= 48
            else:
                assert len(Image.open(path).convert("RGB").getcolors(10**6) or []) > 5


def test_an_empty_table_is_not_offered(page: Page):
    lens, text = (page.locator(f".save[data-what={what}]") for what in ("lens", "text"))
    expect(lens).to_be_hidden()
    drag(page, (1, 1), (2, 2))
    expect(lens).to_be_visible()
    page.locator("#clear").click()
    expect(lens).to_be_hidden()
    page.select_option("#overlay", "attention")
    expect(text).to_be_visible()
    page.select_option("#query", "text")
    expect(page.locator("#overlay-hint")).to_contain_text("Choose a token")
    expect(text).to_be_hidden()


def test_no_word_of_a_table_is_a_formula(page: Page):
    saved = page.evaluate(
        """async () => {
            const { csv } = await import("/static/saving.js");
            return csv(["word", "share"], [["=1+1", -2], ["@a", 3], ["+", 0.5], ["dog", null]]);
        }"""
    )
    rows = list(csv.reader(saved.splitlines()))
    assert rows[1:] == [["'=1+1", "-2"], ["'@a", "3"], ["'+", "0.5"], ["dog", ""]]


def test_the_examples_own_question_comes_with_it(page: Page):
    told = page.request.get(page.url.split("#")[0] + "api/model").json()
    for index in (1, 2):
        page.locator("#examples button").nth(index).click()
        ready(page)
        expect(page.locator("#question")).to_have_value(told["examples"][index]["questions"][0])
