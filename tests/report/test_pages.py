"""The lens page, the index and the report in a real browser: what a reader does with them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.report.browsing import Open, ready, wide_tables

pytestmark = pytest.mark.browser


def over(page: Page, row: int, column: int, pane: int = 0) -> tuple[float, float]:
    """The middle of a patch of the embedded model's grid of 12 x 12."""
    canvas = page.locator("canvas.image").nth(pane)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    return (
        box["x"] + box["width"] * (column + 0.5) / 12,
        box["y"] + box["height"] * (row + 0.5) / 12,
    )


def redrawn(page: Page) -> None:
    """Waits for the frame after a change: the page draws then, however busy the machine is."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def painted(page: Page, pane: int) -> str:
    """What a pane's image looks like now."""
    redrawn(page)
    return page.locator("canvas.image").nth(pane).evaluate("(canvas) => canvas.toDataURL()")


def means(page: Page, pane: int) -> str:
    """The numbers below a pane's image now."""
    redrawn(page)
    return page.locator(".means").nth(pane).inner_text()


def test_hovering_shows_a_patchs_words_and_a_click_locks_it(opened: Open, compared: Path) -> None:
    page = ready(opened(compared))
    page.mouse.move(*over(page, 2, 3))
    for name in page.locator(".patch").all():
        expect(name).to_contain_text("row 2, column 3")
    expect(page.locator("tbody").first.locator("tr")).to_have_count(9)
    page.mouse.click(*over(page, 4, 5))
    page.mouse.move(*over(page, 8, 8))
    expect(page.locator(".patch").first).to_contain_text("row 4, column 5")
    page.keyboard.press("Escape")
    page.mouse.move(*over(page, 7, 8))
    expect(page.locator(".patch").first).to_contain_text("row 7, column 8")


def test_keys_move_over_patches_and_layers(opened: Open, compared: Path) -> None:
    page = ready(opened(compared))
    page.mouse.click(*over(page, 4, 5))
    page.locator("#layer").fill("8")
    page.locator("canvas.image").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".patch").first).to_contain_text("row 5, column 6")
    expect(page.locator("#layer-name")).to_have_text("8 of 8")
    page.keyboard.press("[")
    expect(page.locator("#layer-name")).to_have_text("7 of 8")
    expect(page.locator("#announce")).to_contain_text("layer 7")
    page.locator("#layer").fill("0")
    expect(page.locator("#layer-name")).to_contain_text("0 of 8 (into the language model)")
    page.get_by_role("button", name="Play through the layers").click()
    expect(page.locator("#layer-name")).not_to_contain_text("0 of 8")


def test_a_word_paints_the_patches(opened: Open, compared: Path) -> None:
    page = ready(opened(compared))
    before = painted(page, 0)
    page.locator("#word").fill("no-such-word")
    expect(page.locator("#legend-text")).to_contain_text("No patch has this word")
    assert painted(page, 0) != before
    page.locator("#chips button").first.click()
    expect(page.locator("#legend-text")).to_contain_text("Exact")
    expect(page.locator(".means").first).to_contain_text("%")
    page.select_option("#paint", "rank")
    expect(page.locator(".means").first).to_contain_text("rank")
    page.select_option("#paint", "entropy")
    expect(page.locator("#legend-high")).to_contain_text("nats")


CUT = """() => [...document.querySelectorAll("tbody td:not([hidden]) bdi")].filter((word) => {
  const [cell, own] = [word.closest("td").getBoundingClientRect(), word.getBoundingClientRect()];
  return own.width === 0 || own.right > cell.right + 1 || own.left < cell.left - 1;
}).map((word) => word.textContent)"""


@pytest.mark.parametrize("width", [1400, 700, 400])
def test_every_word_is_shown_whole(opened: Open, compared: Path, report: Path, width: int) -> None:
    """The synthetic run's vocabulary holds words that no column has the room for."""
    for path in (compared, report.parent / "lens" / "000100@object+1.html"):
        page = ready(opened(path, width))
        shown = page.locator("tbody").first.locator("tr").first.locator("td:visible bdi")
        expect(shown.first).to_be_visible()
        assert page.evaluate(CUT) == []
        whole = page.locator("tbody").first.locator("tr").first.locator("td bdi").count()
        told = page.locator("th.head").first.inner_text()
        assert (f"{shown.count()} of {whole}" in told) == (shown.count() < whole)
        assert shown.count() > 1


def test_a_page_opens_at_the_layer_where_its_word_is_strongest(
    opened: Open, compared: Path
) -> None:
    page = ready(opened(compared))
    text = page.locator("#layer-name").inner_text()
    found = re.fullmatch(r"(\d) of 8 \('\w+' is strongest\)", text)
    assert found is not None, text

    def mean() -> float:
        shown = re.search(r"mean on \w+ ([\d.]+) %", means(page, 0))
        assert shown is not None
        return float(shown[1])

    best = mean()
    for layer in "12345678":
        page.locator("#layer").fill(layer)
        expect(page.locator("#layer-name")).to_contain_text(f"{layer} of 8")
        assert mean() <= best
        if layer != found[1]:
            expect(page.locator("#best")).to_be_visible()
    page.locator("#layer").fill("1")
    page.locator("#best").click()
    expect(page.locator("#layer-name")).to_have_text(text)
    expect(page.locator("#best")).to_be_hidden()


def test_pages_index_and_report_lead_to_each_other(opened: Open, report: Path) -> None:
    page = opened(report)
    page.get_by_role("link", name=re.compile("Look at 4 lens pages")).click()
    page.get_by_role("link", name="Report").click()
    expect(page).to_have_url(report.as_uri())
    page.goto((report.parent / "lens" / "index.html").as_uri())
    page.locator(".entry a").first.click()
    ready(page)
    names = page.locator(".links a").all_inner_texts()
    assert names[:2] == ["Report", "All 4 lens pages"]
    for number in range(len(names)):
        link = page.locator(".links a").nth(number)
        address = link.evaluate("(link) => link.href")
        assert Path(unquote(urlsplit(address).path)).is_file(), address
    page.get_by_role("link", name="Next").click()
    ready(page)
    page.get_by_role("link", name="clean").click()
    expect(ready(page).locator(".pane")).to_have_count(1)


def test_two_conditions_are_compared_by_their_change(opened: Open, compared: Path) -> None:
    page = ready(opened(compared))
    page.select_option("#paint", "differs")
    assert means(page, 0) == means(page, 1)
    assert "%" in means(page, 0)
    for paint, unit in (("entropy", "nats"), ("word", "points"), ("rank", "ranks")):
        page.select_option("#paint", paint)
        page.select_option("#compare", "own")
        expect(page.locator("#legend-change")).to_be_hidden()
        left, right = painted(page, 0), painted(page, 1)
        page.select_option("#compare", "change")
        expect(page.locator("#legend-change")).to_be_visible()
        expect(page.locator("#change-high")).to_contain_text(unit)
        expect(page.locator(".means").nth(1)).to_contain_text("mean change on")
        assert painted(page, 0) == left
        assert painted(page, 1) != right
    page.wait_for_url(re.compile("compare=change"))
    again = ready(opened(compared, fragment="#" + page.url.partition("#")[2]))
    expect(again.locator("#compare")).to_have_value("change")
    expect(again.locator("#legend-change")).to_be_visible()


def test_the_change_is_the_difference_of_the_two(opened: Open, compared: Path) -> None:
    page = ready(opened(compared))
    page.mouse.click(*over(page, 5, 5))
    page.select_option("#paint", "entropy")

    def here(pane: int) -> float:
        found = re.search(r"here ([+−]?[\d.]+) nats", means(page, pane))
        assert found is not None
        return float(found[1].replace("−", "-"))

    left, right = here(0), here(1)
    page.select_option("#compare", "change")
    assert "change" in means(page, 1)
    assert here(1) == pytest.approx(right - left, abs=0.011)


def test_a_vocabulary_of_markup_is_text_in_every_page(opened: Open, report: Path) -> None:
    """The synthetic run's words and answers hold markup, quotes, bidi marks and surrogates."""
    for path in (report, report.parent / "lens" / "index.html"):
        page = opened(path)
        assert "<script>alert(1)</script>" in page.locator("main").inner_text()
    page = ready(opened(report.parent / "lens" / "000100@object+1.html"))
    text = page.locator("main").inner_text()
    assert "<script>alert(1)</script>" in text
    assert not set("\u202e\u2028\ud800") & set(text)
    assert page.locator("main script:not([type]), main textarea").count() == 0


def test_the_index_finds_pages(opened: Open, report: Path) -> None:
    page = opened(report.parent / "lens" / "index.html")
    expect(page.locator(".entry:visible")).to_have_count(4)
    page.locator("#find").fill("000101")
    expect(page.locator("#found")).to_have_text("1 page")
    expect(page.locator(".entry:visible")).to_have_count(1)
    page.locator(".entry:visible a").click()
    ready(page)
    expect(page.locator("h1")).to_have_text("000101.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_no_page_overflows_and_every_control_has_a_name(
    opened: Open, report: Path, compared: Path, width: int, scheme: str
) -> None:
    for path in (report, report.parent / "lens" / "index.html", compared):
        page = opened(path, width, scheme)
        if path == compared:
            ready(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, canvas, [tabindex]")]
                .filter((node) => !(node.textContent.trim() || node.ariaLabel || node.labels?.length
                    || node.getAttribute("aria-labelledby")))
                .map((node) => node.outerHTML)"""
        )
        assert nameless == [], path.name


def test_the_report_prints_everything_it_folds(opened: Open, report: Path) -> None:
    page = opened(report)
    folded = page.locator("details table").first
    expect(folded).to_be_hidden()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(folded).to_be_visible()
    expect(page.locator("nav").first).to_be_hidden()
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    expect(folded).to_be_hidden()


def test_tables_and_figures_can_be_fetched(opened: Open, report: Path) -> None:
    page = opened(report)
    for ending in ("knockout-heads.svg", "knockout-heads.pdf", "sweep.csv"):
        with page.expect_download() as fetched:
            page.locator(f"a[download='{ending}']").click()
        content = Path(fetched.value.path()).read_bytes()
        assert content[:4] in (b"<svg", b"%PDF", b"task"), ending


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_table_of_a_report_has_to_be_scrolled_on_a_phone(
    report: Path, opened: Open, scheme: str
) -> None:
    """Rows of many columns become paragraphs, in which each cell tells its heading."""
    page = opened(report, 400, scheme)
    assert wide_tables(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    table = page.locator("#ablation .stacked").first
    assert table.locator("thead").is_hidden()
    told = (
        table.locator("tbody tr")
        .first.locator("td")
        .evaluate_all("cells => cells.map(cell => getComputedStyle(cell, '::before').content)")
    )
    assert len(told) == len(set(told)), "two cells of a row have one heading"
    starts = (
        table.locator("tbody tr")
        .first.locator("td.start")
        .evaluate_all("cells => cells.map(cell => cell.getBoundingClientRect().left)")
    )
    assert starts and len(set(starts)) == 1, "a group's cells begin a line"
    wide = opened(report, 1400, scheme).locator("#ablation .stacked").first
    assert wide.locator("thead").is_visible()
