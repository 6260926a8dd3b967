"""LFM2-VL: a small image in its own shape; a large one in square tiles, then the whole.

Tokens that name a tile's row and column stand before it; they have ids of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, Tile, closest_canvas, split, whole_image
from retinoscope.models.family import RELEASED, SEVERAL_IMAGES, SHARED_VISION, TOKEN_MAP, Family
from retinoscope.models.views import option


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The merged patches of each tile (level 1) and of the whole (level 0, last).

    Args:
        config: the model's config; not needed.
        processor: the model's processor, for how it resizes and cuts tiles.
        size: (width, height) of the original image.
        inputs: the processor's outputs; not needed.
        image: the image's index.
    """
    rows, columns = whole_cells(processor, size)
    whole = Tile(rows, columns, whole_image(size))
    rows, columns = canvas(processor, size)
    if rows * columns == 1:
        return PatchGrid(size, (whole,))
    side = option(processor, "tile_size") // option(processor, "encoder_patch_size")
    cells = math.ceil(side / option(processor, "downsample_factor"))
    tiles = split(whole_image(size), rows, columns, (cells, cells), level=1)
    return PatchGrid(size, (*tiles, whole) if option(processor, "use_thumbnail") else tiles)


def canvas(processor: Any, size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of tiles; an image that is not too large is one tile."""
    cell = option(processor, "encoder_patch_size") * option(processor, "downsample_factor")
    least = option(processor, "encoder_patch_size")
    fewest, most = option(processor, "min_tiles"), option(processor, "max_tiles")
    area = math.prod(max(least, round(edge / cell) * cell) for edge in size)
    bound = option(processor, "max_image_tokens") * cell**2
    large = area > bound * option(processor, "max_pixels_tolerance")
    if not option(processor, "do_image_splitting") or most == 1 or not large:
        return 1, 1
    side = option(processor, "tile_size")
    return closest_canvas(size, (side, side), fewest, most)


def whole_cells(processor: Any, size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of cells of the whole image, kept in shape within the bounds on tokens."""
    cell = option(processor, "encoder_patch_size") * option(processor, "downsample_factor")
    fewest, most = option(processor, "min_image_tokens"), option(processor, "max_image_tokens")
    columns, rows = (max(1, round(edge / cell)) for edge in size)
    if rows * columns > most:
        shrink = math.sqrt(size[0] * size[1] / (most * cell**2))
        columns, rows = (max(1, math.floor(edge / shrink / cell)) for edge in size)
    elif rows * columns < fewest:
        stretch = math.sqrt(fewest * cell**2 / (size[0] * size[1]))
        columns, rows = (math.ceil(edge * stretch / cell) for edge in size)
    return rows, columns


FAMILY = Family(
    name="LFM2-VL",
    model_types=("lfm2_vl",),
    grid=grid,
    prompt="<|startoftext|><|im_start|>user\n{image}{question}<|im_end|>\n<|im_start|>assistant\n",
    verified=(TOKEN_MAP, SEVERAL_IMAGES, SHARED_VISION),
    unverified=(
        RELEASED,
        "resampling and loading: its image processor needs torchvision, only its choices of size "
        "and tiles were run",
    ),
)
