"""One convention for colours: nothing is the paper, more is orange, less is blue."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from playwright.sync_api import Page

import retinoscope.app
import retinoscope.report
from retinoscope.report.figures.style import BLUE, ORANGE
from tests.report.browsing import Open, ready

PICTURE = """(pane) => {
  const { buffer } = panes[pane].strip;
  return [...buffer.getContext("2d").getImageData(0, 0, buffer.width, buffer.height).data];
}"""


def bytes_of(colour: str) -> list[int]:
    return [round(255 * part) for part in to_rgb(colour)]


def numbers(pattern: str, text: str) -> list[int]:
    found = re.search(pattern, text)
    assert found is not None, pattern
    return [int(number) for number in re.findall(r"\d+", found[1])]


def strip(page: Page, pane: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and colours of every patch at every layer: [layer, token] and [layer, token, rgba]."""
    values, tokens = page.evaluate(
        "(pane) => [[...panes[pane].values].map((v) => Number.isNaN(v) ? 0 : v),"
        " panes[pane].sheet.tokens]",
        pane,
    )
    colours = np.array(page.evaluate(PICTURE, pane)).reshape(-1, tokens, 4)[::-1]
    return np.array(values).reshape(-1, tokens), colours


def test_pages_explorer_and_figures_have_the_same_two_colours() -> None:
    templates = Path(retinoscope.report.__path__[0]) / "templates"
    explorer = Path(retinoscope.app.__path__[0]) / "static"
    for file, pattern in (
        (templates / "lens-colour.js", r"{} = \[([\d, ]+)\]"),
        (explorer / "colour.js", '{} = "([\\d ]+)"'),
    ):
        text = file.read_text("utf-8")
        assert numbers(pattern.format("MORE"), text) == bytes_of(ORANGE), file
        assert numbers(pattern.format("LESS"), text) == bytes_of(BLUE), file
    bars = (templates / "base.css").read_text("utf-8")
    assert numbers(r"--bar: rgb\(([\d ]+) /", bars) == bytes_of(ORANGE)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_values_of_a_lens_page_are_orange_and_nothing_is_the_paper(
    opened: Open, compared: Path, scheme: str
) -> None:
    page = ready(opened(compared, scheme=scheme))
    values, colours = strip(page, 0)
    strong, opacity = values > values.max() / 2, colours[..., 3]
    assert strong.any()
    assert np.abs(colours[strong][:, :3] - bytes_of(ORANGE)).max() <= 2
    assert opacity[values < values.max() / 1000].max() <= 3
    order = np.argsort(values, axis=None)
    assert (np.diff(opacity.ravel()[order]) >= 0).all()


@pytest.mark.browser
def test_a_change_is_orange_where_there_is_more_and_blue_where_there_is_less(
    opened: Open, compared: Path
) -> None:
    page = ready(opened(compared))
    page.select_option("#paint", "entropy")
    page.select_option("#compare", "change")
    values, colours = strip(page, 1)
    most = np.abs(values).max()
    for sign, colour in ((1, ORANGE), (-1, BLUE)):
        there = sign * values > most / 3
        assert there.any()
        assert np.abs(colours[there][:, :3] - bytes_of(colour)).max() <= 3
    assert colours[np.abs(values) < most / 1000][:, 3].max(initial=0) <= 3
