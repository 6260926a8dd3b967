"""The grid of patches of one image, in the order in which its tokens reach the language model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from retinoscope.errors import TokenMapError

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels of the original image; x to the right, y down; may leave the image."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of the original image that was cut into rows x columns equal cells.

    A model that resizes and crops an image has one tile. One that cuts the image into crops and
    adds a small view of the whole ("anyres", "pan and scan") has a tile for each; crops of one
    resolution share a `level` and are placed side by side in that level's grid.

    Attributes:
        rows: cells from top to bottom, at least 1.
        columns: cells from left to right, at least 1.
        box: the rectangle in original-image pixels; parts outside the image are padding.
        level: which resolution the tile belongs to; 0 is the first.
        row: the level's row that the tile's first row is.
        column: the level's column that the tile's first column is.
    """

    rows: int
    columns: int
    box: Box
    level: int = 0
    row: int = 0
    column: int = 0

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        if self.rows < 1 or self.columns < 1 or not (x1 > x0 and y1 > y0):
            raise TokenMapError(
                f"A tile needs at least one cell and a box with area; got {self.rows} x "
                f"{self.columns} cells over {self.box}."
            )


@dataclass(frozen=True)
class PatchGrid:
    """Every cell of one image, tile after tile, each tile row by row.

    Attributes:
        size: (width, height) of the original image in pixels.
        tiles: the tiles in the order of their tokens.
    """

    size: tuple[int, int]
    tiles: tuple[Tile, ...]

    def __repr__(self) -> str:
        width, height = self.size
        tiles = f"{len(self.tiles)} tiles" if len(self.tiles) > 1 else "one tile"
        return f"PatchGrid({len(self)} cells in {tiles} of an image of {width} x {height} pixels)"

    def __len__(self) -> int:
        """Number of cells, equal to the number of visual tokens."""
        return sum(tile.rows * tile.columns for tile in self.tiles)

    @cached_property
    def boxes(self) -> Float[np.ndarray, "cells 4"]:
        """Each cell's (x0, y0, x1, y1) in original-image pixels; may leave the image."""
        return np.concatenate([_tile_boxes(tile) for tile in self.tiles]).astype(np.float64)

    @cached_property
    def cells(self) -> Int[np.ndarray, "cells 3"]:
        """Each cell's (level, row, column)."""
        return np.concatenate([_tile_cells(tile) for tile in self.tiles])

    @cached_property
    def rows(self) -> Int[np.ndarray, " cells"]:
        """Each cell's row, counted over all levels from the first token on: 0, 1, 2, ..."""
        keys = self.cells[:, 0] * (1 + int(self.cells[:, 1].max())) + self.cells[:, 1]
        order = {key: index for index, key in enumerate(dict.fromkeys(keys.tolist()))}
        return np.array([order[key] for key in keys.tolist()])


def _tile_boxes(tile: Tile) -> Float[np.ndarray, "cells 4"]:
    x0, y0, x1, y1 = tile.box
    xs = np.linspace(x0, x1, tile.columns + 1)
    ys = np.linspace(y0, y1, tile.rows + 1)
    left, top = np.meshgrid(xs[:-1], ys[:-1])
    right, bottom = np.meshgrid(xs[1:], ys[1:])
    return np.stack([left, top, right, bottom], axis=-1).reshape(-1, 4)


def _tile_cells(tile: Tile) -> Int[np.ndarray, "cells 3"]:
    rows, columns = np.mgrid[0 : tile.rows, 0 : tile.columns]
    level = np.full_like(rows, tile.level)
    return np.stack([level, rows + tile.row, columns + tile.column], axis=-1).reshape(-1, 3)
