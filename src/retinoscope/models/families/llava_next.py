"""LLaVA-NeXT (1.6): a view of the whole, then the image in its own shape at a higher resolution.

The high resolution is cut into tiles, put together again and freed of its padding, so that its
tokens stand row by row over the whole image; each row ends with a newline, whose embedding sits on
an image token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from retinoscope.errors import TokenMapError
from retinoscope.geometry import PatchGrid, Tile, best_resolution, padded_fit, whole_image
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import square


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The patches of the view of the whole (level 0) and of the high resolution (level 1).

    Args:
        config: the model's config, for the tower's sizes and the resolutions.
        processor: the model's processor, for the size of a tile.
        size: (width, height) of the original image.
        inputs: the processor's outputs; not needed.
        image: the image's index.

    Raises:
        TokenMapError: the processor's tiles are not what the tower takes.
    """
    side = config.vision_config.image_size
    patches = side // config.vision_config.patch_size
    tile = tile_side(processor)
    if tile != side:
        raise TokenMapError(
            f"The image processor cuts tiles of {tile} pixels but the tower takes {side}; the "
            "processor does not fit the model."
        )
    whole = Tile(patches, patches, whole_image(size))
    return PatchGrid(size, (whole, detail(size, config.image_grid_pinpoints, side, patches)))


def tile_side(processor: Any) -> int:
    """The side of a tile in pixels, as the image processor reads it from its options."""
    images = processor.image_processor
    if images.crop_size:
        return square(images.crop_size)[0]
    sizes = dict(images.size)
    return int(sizes.get("height") or sizes["shortest_edge"])


def detail(size: tuple[int, int], pinpoints: list[list[int]], side: int, patches: int) -> Tile:
    """The high resolution without the rows or columns that are padding.

    Args:
        size: (width, height) of the original image.
        pinpoints: candidates for the resolution, each (height, width).
        side: side of a tile in pixels.
        patches: patches along that side.
    """
    width, height = size
    target = best_resolution(size, [(w, h) for h, w in pinpoints])
    x0, y0, x1, y1 = padded_fit(size, target)
    columns, rows = target[0] // side * patches, target[1] // side * patches
    # As the model's unpad_image: whole patches, the same number on both sides.
    if width / height > columns / rows:
        cut = (rows - int(round(height * (columns / width), 7))) // 2
        pitch = (y1 - y0) / rows
        y0, y1, rows = y0 + cut * pitch, y1 - cut * pitch, rows - 2 * cut
    else:
        cut = (columns - int(round(width * (rows / height), 7))) // 2
        pitch = (x1 - x0) / columns
        x0, x1, columns = x0 + cut * pitch, x1 - cut * pitch, columns - 2 * cut
    return Tile(rows, columns, (x0, y0, x1, y1), level=1)


def slots(grid: PatchGrid) -> Bool[np.ndarray, " image_tokens"]:
    """Every image token but the one that ends each row of the high resolution."""
    whole, *detail = grid.tiles
    marks = [np.ones(whole.rows * whole.columns, dtype=bool)]
    for tile in detail:
        rows = np.ones((tile.rows, tile.columns + 1), dtype=bool)
        rows[:, -1] = False
        marks.append(rows.ravel())
    return np.concatenate(marks)


FAMILY = Family(
    name="LLaVA-NeXT",
    model_types=("llava_next",),
    grid=grid,
    slots=slots,
    prompt="[INST] {image}\n{question} [/INST]",
    verified=PROVED,
    unverified=(RELEASED,),
)
