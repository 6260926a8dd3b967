"""A lens that was fitted beside the logit lens, in a real browser."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from playwright.sync_api import Browser, Page, expect

from retinoscope.app import Session
from tests.app.conftest import probe, served, visited
from tests.app.gestures import ready

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium: Browser, session: Session) -> Iterator[Page]:
    lensed = replace(session, lenses={"probe": probe(session)})
    with served(lensed) as url, visited(chromium, url) as opened:
        yield opened


def choose(page: Page) -> None:
    """Every patch, so that both lenses have something to read."""
    page.get_by_role("button", name="Invert").click()
    expect(page.locator("#lens tbody tr")).to_have_count(tiny.LAYERS + 1)


def test_a_second_lens_is_read_below_the_first_and_kept_in_the_link(
    page: Page, chromium: Browser
) -> None:
    control = page.get_by_label("A second lens below")
    assert control.locator("option").all_inner_texts() == ["none", "probe"]
    expect(page.locator("#second-title")).to_be_hidden()
    choose(page)
    expect(page.locator("#lens-2 tr")).to_have_count(0)
    first = page.locator("#lens").inner_text()
    control.select_option("probe")
    expect(page.locator("#second-title")).to_have_text("probe lens")
    rows = page.locator("#lens-2 tbody tr")
    expect(rows).to_have_count(tiny.LAYERS + 1)
    # This probe knows four tokens, and none in the last layer.
    assert rows.nth(0).locator("td.word").count() in range(1, 5)
    assert rows.nth(tiny.LAYERS).locator("td.word").count() == 0
    assert page.locator("#lens").inner_text() == first
    second = page.locator("#lens-2").inner_text()
    with visited(chromium, page.url) as other:
        expect(other.get_by_label("A second lens below")).to_have_value("probe")
        expect(other.locator("#lens-2 tbody tr")).to_have_count(tiny.LAYERS + 1)
        assert other.locator("#lens-2").inner_text() == second
    control.select_option("none")
    expect(page.locator("#second-title")).to_be_hidden()
    expect(page.locator("#lens-2 tr")).to_have_count(0)


def test_both_lenses_are_saved_in_one_table(page: Page, tmp_path: Path) -> None:
    choose(page)
    page.get_by_label("A second lens below").select_option("probe")
    expect(page.locator("#lens-2 tbody tr")).to_have_count(tiny.LAYERS + 1)
    with page.expect_download() as fetched:
        page.get_by_label("Save the lens as CSV").click()
    fetched.value.save_as(tmp_path / "lens.csv")
    with (tmp_path / "lens.csv").open(newline="", encoding="utf-8") as file:
        lenses = [row["lens"] for row in csv.DictReader(file)]
    assert set(lenses) == {"logit", "probe"}
    page.get_by_role("button", name="Clear").click()
    ready(page)
    expect(page.locator("#second-title")).to_be_hidden()
