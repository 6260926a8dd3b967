"""The original code's patches, which drift: their pitch is cut to whole pixels."""

from __future__ import annotations

import math
from dataclasses import replace

from retinoscope.geometry.grid import Box, PatchGrid, Tile
from retinoscope.geometry.resize import centred_square

_DUST = 1e-6
"""A tile's box comes from divisions; 239.9999999 pixels are 240."""


def whole_pixel_pitch(grid: PatchGrid) -> PatchGrid:
    """The grid with every cell as many whole pixels wide and high as fit, at least one.

    The original code knows one grid, in the square of the shorter edge in the image's centre. It
    divides that edge by 24, drops the fraction, and so finds patches ever further to the left of
    (and above) what the model sees. The model's own crop is rounded in the resized image, and lies
    up to a pixel of that beside the square: on an image of 640 x 479 it is 480 pixels wide. A tile
    that is this crop becomes the original's square; any other is cut to whole pixels where it is,
    and where its cells are whole pixels anyway nothing changes.
    """
    square = centred_square(grid.size)
    return replace(grid, tiles=tuple(_whole(tile, square) for tile in grid.tiles))


def _whole(tile: Tile, square: Box) -> Tile:
    x0, y0, x1, y1 = square if _is_crop(tile, square) else tile.box
    left, top = math.floor(x0 + _DUST), math.floor(y0 + _DUST)
    width = max(1, math.floor((x1 - x0) / tile.columns + _DUST))
    height = max(1, math.floor((y1 - y0) / tile.rows + _DUST))
    right, bottom = left + width * tile.columns, top + height * tile.rows
    return replace(tile, box=(float(left), float(top), float(right), float(bottom)))


def _is_crop(tile: Tile, square: Box) -> bool:
    """Whether a tile is the centred square but for rounding, less than a quarter of a cell."""
    quarter = (square[2] - square[0]) / tile.columns / 4
    apart = max(abs(a - b) for a, b in zip(tile.box, square, strict=True))
    return tile.columns == tile.rows and apart < quarter
