"""The original code's patches, which drift: their pitch is cut to whole pixels."""

from __future__ import annotations

import math
from dataclasses import replace

from retinoscope.geometry.grid import Box, PatchGrid, Tile

_DUST = 1e-6
"""A tile's box comes from divisions; 239.9999999 pixels are 240."""


def whole_pixel_pitch(grid: PatchGrid) -> PatchGrid:
    """The grid with every cell as many whole pixels wide and high as fit, at least one.

    The original code divides its unresized crop by 24, drops the fraction, and so finds patches
    ever further to the left of (and above) what the model sees. Where the cells are whole pixels
    anyway, nothing changes.
    """
    return replace(grid, tiles=tuple(replace(tile, box=_shrunk(tile)) for tile in grid.tiles))


def _shrunk(tile: Tile) -> Box:
    x0, y0, x1, y1 = tile.box
    left, top = math.floor(x0 + _DUST), math.floor(y0 + _DUST)
    width = max(1, math.floor((x1 - x0) / tile.columns + _DUST))
    height = max(1, math.floor((y1 - y0) / tile.rows + _DUST))
    return (
        float(left),
        float(top),
        float(left + width * tile.columns),
        float(top + height * tile.rows),
    )
