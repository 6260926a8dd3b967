"""LLaVA-OneVision: LLaVA-NeXT's layout; a detail of too many patches is scaled down.

The model shrinks the detail's features bilinearly until they fit ("anyres_max_9"). A token is then
a blend of up to four patches: its cell is its even share of the image, and the patches that it
blends may reach up to one patch beyond.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from retinoscope.errors import TokenMapError
from retinoscope.geometry import PatchGrid, Tile
from retinoscope.models.families import llava_next
from retinoscope.models.family import PROVED, RELEASED, Family


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The patches of the view of the whole (level 0) and of the detail (level 1).

    Args:
        config: the model's config, for the tower's sizes and the resolutions.
        processor: the model's processor, for the size of a tile.
        size: (width, height) of the original image.
        inputs: the processor's outputs; not needed.
        image: the image's index.

    Raises:
        TokenMapError: the processor's tiles are not what the tower takes, or the two disagree on
            the most patches.
    """
    found = llava_next.grid(config, processor, size, inputs, image)
    if processor.vision_aspect_ratio != config.vision_aspect_ratio:
        raise TokenMapError(
            f"The processor packs images as {processor.vision_aspect_ratio!r}, the model as "
            f"{config.vision_aspect_ratio!r}; the processor does not fit the model."
        )
    most = int(config.vision_aspect_ratio.removeprefix("anyres_max_"))
    whole, fine = found.tiles
    return PatchGrid(size, (whole, shrunk(fine, most * whole.rows * whole.columns)))


def shrunk(tile: Tile, most: int) -> Tile:
    """The tile with about `most` cells, where it has more than 1.21 times as many."""
    ratio = math.sqrt(tile.rows * tile.columns / most)
    if ratio <= 1.1:
        return tile
    return replace(tile, rows=int(tile.rows // ratio), columns=int(tile.columns // ratio))


FAMILY = Family(
    name="LLaVA-OneVision",
    model_types=("llava_onevision",),
    grid=grid,
    slots=llava_next.slots,
    prompt="<|im_start|>user {image}\n{question}<|im_end|><|im_start|>assistant\n",
    verified=PROVED,
    unverified=(
        RELEASED,
        "shrunk details: a token's cell is its even share, it may blend in the next cell",
    ),
)
