"""Selecting patches and intervening on them, in a real browser over the embedded model."""

from __future__ import annotations

import ast
import json

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.app.gestures import PATIENCE, click, drag, ready, selected

pytestmark = pytest.mark.browser


def test_patches_are_selected_by_pointer(page: Page):
    click(page, 2, 3)
    selected(page, 1)
    expect(page.locator("#cursor")).to_contain_text("Row 2, column 3")
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
    expect(page.locator("#cursor")).to_have_text("Row 1, column 1")
    page.keyboard.press("Space")
    selected(page, 1)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    selected(page, 3)
    expect(page.locator("#cursor")).to_have_text("Row 2, column 2, selected")
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


def test_ablating_and_knocking_out_move_the_bars_and_the_lens_follows(page: Page):
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
        "knock out attention from the last position": "knockout",
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
    assert sent["action"] == {"type": "knockout", "first": 4, "last": 7, "heads": []}
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
    page.get_by_label("knock out attention from the last position").check()

    def knocks_one_out(request: Request) -> bool:
        body = json.loads(request.post_data or "{}")
        return "/api/intervene" in request.url and len(body["patches"]) == 1

    with page.expect_request(knocks_one_out) as asked:
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
