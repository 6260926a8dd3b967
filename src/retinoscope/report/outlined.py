"""An example's picture with the patches outlined whose tokens were replaced."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator

from PIL import Image, ImageDraw

from retinoscope.report.templating import data_uri
from retinoscope.results.sheet import LensSheet

LOOKS = (("#101010", 4), ("#ffffff", 2))
"""A light line on a dark one shows on any image."""


def object_and_one(sheet: LensSheet, name: str, count: int) -> set[int]:
    """The sheet's tokens on an object and those beside them, as `TokenSet.dilate(1)` has them.

    Args:
        sheet: the image's.
        name: the object's class.
        count: how many tokens the records say that were replaced.

    Returns:
        Indices of tokens; nothing where the sheet does not lead to just as many.
    """
    on_it = {token for one in sheet.objects if one.class_name == name for token in one.tokens}
    cells = [tuple(cell) for cell in sheet.cells.tolist()]
    near = {
        (level, row + down, column + right)
        for level, row, column in (cells[token] for token in on_it)
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    }
    found = {index for index, cell in enumerate(cells) if cell in near}
    return found if len(found) == count else set()


def outlined(sheet: LensSheet, tokens: Collection[int], side: int) -> str:
    """The image as a small JPEG in a `data:` address, with the outline of some patches.

    Args:
        sheet: the image's.
        tokens: the patches.
        side: most pixels of its longer side.
    """
    with Image.open(io.BytesIO(sheet.image)) as opened:
        small = opened.convert("RGB")
        small.thumbnail((side, side))
    across, down = small.width / sheet.size[0], small.height / sheet.size[1]
    draw = ImageDraw.Draw(small)
    for colour, width in LOOKS:
        for x0, y0, x1, y1 in edges(sheet, tokens):
            line = (x0 * across, y0 * down, x1 * across, y1 * down)
            draw.line(line, fill=colour, width=width)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=85)
    return data_uri("image/jpeg", stream.getvalue())


def edges(sheet: LensSheet, tokens: Collection[int]) -> Iterator[tuple[float, ...]]:
    """Sides of patches beyond which there is no other of them, (x0, y0, x1, y1) in pixels."""
    cells = {tuple(sheet.cells[token].tolist()) for token in tokens}
    for token in sorted(tokens):
        level, row, column = sheet.cells[token].tolist()
        x0, y0, x1, y1 = sheet.boxes[token].tolist()
        sides = {
            (level, row - 1, column): (x0, y0, x1, y0),
            (level, row + 1, column): (x0, y1, x1, y1),
            (level, row, column - 1): (x0, y0, x0, y1),
            (level, row, column + 1): (x1, y0, x1, y1),
        }
        yield from (side for beyond, side in sides.items() if beyond not in cells)
