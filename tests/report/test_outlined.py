"""Examples outline what was replaced; colours, phones and hashes are as the pages promise."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from retinoscope.report.figures.narrow import WIDTH, narrow_svg
from retinoscope.report.figures.style import BLUE, DENSEST, ORANGE, panels, shade, styled, svg
from retinoscope.report.outlined import edges, object_and_one, outlined
from retinoscope.report.page import facts
from retinoscope.results.sheet import LensSheet, ObjectOutline
from retinoscope.results.store import read


def test_each_hash_is_shown_once_and_folded_away(run: Path) -> None:
    manifest = read(run).manifest
    files = dict(manifest.model.files)
    data = {**manifest.data, "fingerprint": "ab" * 16}
    told = {**manifest.configuration, "files": files, "fingerprint": "ab" * 16, "seed": 3}
    found = facts(replace(manifest, data=data, configuration=told))
    shown = [line for fact in found for line in fact.values]
    folded = [line for fact in found for line in fact.folded]
    for digest in [*files.values(), "ab" * 16]:
        assert sum(digest in line for line in folded) == 1
        assert not any(digest in line for line in shown)
    assert "seed: 3" in folded


def with_object(make_sheet: Callable[..., LensSheet], tokens: tuple[int, ...]) -> LensSheet:
    sheet = make_sheet(np.random.default_rng(1), grid=6, layers=2)
    return replace(sheet, objects=(ObjectOutline("dog", (), tokens),))


def test_the_object_and_its_neighbours_are_what_was_replaced(make_sheet) -> None:
    # Row 2, column 3 and row 0, column 0 of six columns.
    assert object_and_one(with_object(make_sheet, (15,)), "dog", 9) == {
        *(8, 9, 10),
        *(14, 15, 16),
        *(20, 21, 22),
    }
    assert object_and_one(with_object(make_sheet, (0,)), "dog", 4) == {0, 1, 6, 7}
    # Another number of tokens was replaced, or another object is meant.
    assert object_and_one(with_object(make_sheet, (0,)), "dog", 5) == set()
    assert object_and_one(with_object(make_sheet, (0,)), "cat", 4) == set()


def test_an_outline_runs_where_no_other_patch_follows(make_sheet) -> None:
    sheet = with_object(make_sheet, (0,))
    lines = list(edges(sheet, {0, 1, 6, 7}))
    assert len(lines) == 8
    around = [sum(abs(x1 - x0) + abs(y1 - y0) for x0, y0, x1, y1 in lines)]
    boxes = sheet.boxes[[0, 1, 6, 7]]
    wide, high = np.ptp(boxes[:, [0, 2]]), np.ptp(boxes[:, [1, 3]])
    assert np.allclose(around, 2 * (wide + high))
    assert list(edges(sheet, set())) == []


def test_the_picture_is_changed_along_the_outline_alone(make_sheet) -> None:
    sheet = with_object(make_sheet, (14,))
    plain, marked = (picture(outlined(sheet, tokens, 240)) for tokens in (set(), {14}))
    changed = np.abs(plain.astype(int) - marked).max(-1) > 60
    x0, y0, x1, y1 = sheet.boxes[14] * 240 / max(sheet.size)
    rows, columns = np.nonzero(changed)
    assert rows.min() >= y0 - 12 and rows.max() <= y1 + 12
    assert columns.min() >= x0 - 12 and columns.max() <= x1 + 12


def picture(address: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_zero_is_the_page_more_is_orange_and_less_is_blue() -> None:
    assert shade(0.0)[3] == 0
    for share, name in ((1.0, ORANGE), (5.0, ORANGE), (-1.0, BLUE)):
        colour = [int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert np.allclose(shade(share), (*colour, DENSEST))
    assert 0 < shade(0.2)[3] < shade(0.4)[3]


def test_panels_lie_below_each_other_on_a_phone_with_labels_of_their_own() -> None:
    with styled("three"):
        figure, axes = panels(3)
        for number, axis in enumerate(axes[0]):
            axis.set_title(f"panel {number}")
            axis.plot([0, 1], [0, 1], label="a line")
        for axis in axes[0][1:]:
            axis.set_yticks([0, 1], ["", ""])
        axes[0][0].set_yticks([0, 1], ["none", "whole"])
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    wide, narrow = svg(figure, "three"), narrow_svg(figure, "three")
    assert abs(width(narrow) - 72 * WIDTH) < 0.1 and width(wide) > 600
    assert narrow.count("whole") == 3 > wide.count("whole")
    assert narrow.count("a line") == wide.count("a line") == 1
    assert not set(re.findall(r'id="([^"]+)"', narrow)) & set(re.findall(r'id="([^"]+)"', wide))


def test_panels_without_ticks_are_laid_out_anew_too() -> None:
    with styled("maps"):
        figure, axes = panels(4)
        for axis in axes.flat:
            axis.set(xticks=[], yticks=[])
            axis.set_title("a map", loc="left")
    wide, narrow = svg(figure, "maps"), narrow_svg(figure, "maps")
    assert width(narrow) < width(wide)
    assert narrow.count("a map") == wide.count("a map") == 4


def width(element: str) -> float:
    found = re.search(r'width="([\d.]+)pt"', element)
    assert found is not None
    return float(found[1])


def test_a_narrow_figure_needs_no_other() -> None:
    assert narrow_svg(Figure(figsize=(3, 2)), "small") == ""
