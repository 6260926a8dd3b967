"""Gemma 3: the squeezed image, patches averaged into 16 x 16 tokens; with pan and scan also crops.

Crops come after the whole image, each between words of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, Tile, pan_and_scan, whole_image
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import option


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The averaged patches of the whole image (level 0) and of each crop (level 1).

    Args:
        config: the model's config, for the number of tokens.
        processor: the model's processor, for how it crops.
        size: (width, height) of the original image.
        inputs: the processor's outputs; not needed.
        image: the image's index.
    """
    side = math.isqrt(config.mm_tokens_per_image)
    whole = Tile(side, side, whole_image(size))
    if not option(processor, "do_pan_and_scan"):
        return PatchGrid(size, (whole,))
    crops = pan_and_scan(
        size,
        smallest=option(processor, "pan_and_scan_min_crop_size"),
        most=option(processor, "pan_and_scan_max_num_crops"),
        ratio=option(processor, "pan_and_scan_min_ratio_to_activate"),
    )
    beside = size[0] >= size[1]
    tiles = (
        Tile(side, side, box, 1, row=0 if beside else i * side, column=i * side if beside else 0)
        for i, box in enumerate(crops)
    )
    return PatchGrid(size, (whole, *tiles))


FAMILY = Family(
    name="Gemma 3",
    model_types=("gemma3",),
    grid=grid,
    prompt="<start_of_turn>user\n{image}{question}<end_of_turn>\n<start_of_turn>model\n",
    verified=PROVED,
    unverified=(
        RELEASED,
        "pan and scan, which is off unless processor.images_kwargs turns it on, is not saved",
    ),
)
