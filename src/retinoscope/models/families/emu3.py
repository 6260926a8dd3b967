"""Emu3: a VQ-VAE turns 8 x 8 pixels into a word of the vocabulary; rows end with a newline.

Its convolutions reach far, and its group norms mix all pixels into each word, so that no token can
be shown to hold its own 8 x 8 pixels alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from retinoscope.geometry import PatchGrid, Tile, UnplacedGrid, whole_image
from retinoscope.models.family import LOADING, RELEASED, RUNNING, Family


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """One visual token for each 8 x 8 pixels; asking for its place raises TokenMapError."""
    height, width = (int(side) for side in inputs["image_sizes"][image])
    rows, columns = height // processor.downsample_ratio, width // processor.downsample_ratio
    return UnplacedGrid(
        size,
        (Tile(rows, columns, whole_image(size)),),
        count=rows * columns,
        reason="Emu3's VQ-VAE mixes all pixels into each word by its group norms.",
    )


def slots(grid: PatchGrid) -> Bool[np.ndarray, " image_tokens"]:
    """Every image token but the one that ends each row."""
    (tile,) = grid.tiles
    marks = np.ones((tile.rows, tile.columns + 1), dtype=bool)
    marks[:, -1] = False
    return marks.ravel()


FAMILY = Family(
    name="Emu3",
    model_types=("emu3",),
    grid=grid,
    slots=slots,
    prompt="USER: {image}{question} ASSISTANT:",
    verified=(RUNNING, LOADING),
    unverified=(RELEASED, "drawing images, which is not looked at"),
)
