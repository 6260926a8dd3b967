"""Regions: an image's visual tokens in a few blocks, to ask which part of it matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retinoscope.geometry import UnplacedGrid
from retinoscope.tokens import TokenSet, at

if TYPE_CHECKING:
    from retinoscope.api.view import View

ACROSS = 6
"""Blocks from left to right and from top to bottom."""


@dataclass(frozen=True)
class Region:
    """One block of an image.

    Attributes:
        name: where it is, in pixels of the image; or by positions where tokens have no place.
        tokens: the visual tokens whose middle lies in it, of every tile and resolution.
    """

    name: str
    tokens: TokenSet

    @property
    def code(self) -> str:
        """Its positions as Python writes them, runs as ranges."""
        return positions_code(self.tokens)


def regions(view: View, across: int = ACROSS) -> list[Region]:
    """The blocks of the view's only image that hold a visual token, row by row."""
    layout = view.recording.layout
    positions = np.array(sorted(view.tokens))
    if any(isinstance(span.grid, UnplacedGrid) for span in layout.spans):
        parts = [part.tolist() for part in np.array_split(positions, across**2) if len(part)]
        return [Region(f"positions {one[0]} to {one[-1]}", at(layout, one)) for one in parts]
    width, height = view.image.size
    boxes = np.concatenate([span.grid.boxes for span in layout.spans])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2 / (width, height)
    column, row = np.clip((middles * across).astype(int), 0, across - 1).T
    found = []
    for block in np.unique(row * across + column):
        down, right = divmod(int(block), across)
        x, y = _stretch(right, across, width), _stretch(down, across, height)
        inside = positions[row * across + column == block]
        found.append(Region(f"x {x}, y {y}", at(layout, inside.tolist())))
    return found


def positions_code(tokens: TokenSet) -> str:
    """Positions as a Python list, with runs as ranges: "[*range(5, 8), 12]"."""
    runs: list[list[int]] = []
    for position in tokens:
        if runs and runs[-1][1] == position:
            runs[-1][1] += 1
        else:
            runs.append([position, position + 1])
    parts = [str(a) if b == a + 1 else f"*range({a}, {b})" for a, b in runs]
    return f"[{', '.join(parts)}]"


def _stretch(index: int, parts: int, length: int) -> str:
    return f"{index * length // parts}-{(index + 1) * length // parts}"
