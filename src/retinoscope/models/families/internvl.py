"""InternVL: tiles of the squeezed image, then a view of the whole; pixel shuffle merges patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import square, tiled_view


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The merged patches of each tile (level 1) and of the whole (level 0, last).

    Args:
        config: the model's config, for the tower's sizes and how many patches are merged.
        processor: the model's processor, for how it cuts tiles.
        size: (width, height) of the original image.
        inputs: the processor's outputs; not needed.
        image: the image's index.
    """
    height, width = square(config.vision_config.image_size)
    down, across = square(config.vision_config.patch_size)
    scale = config.downsample_ratio
    return tiled_view(size, processor, (int(height // down * scale), int(width // across * scale)))


FAMILY = Family(
    name="InternVL",
    model_types=("internvl",),
    grid=grid,
    prompt="<|im_start|>user\n{image}\n{question}<|im_end|>\n<|im_start|>assistant\n",
    verified=PROVED,
    unverified=(RELEASED,),
)
