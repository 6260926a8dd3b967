"""Aya Vision: tiles of the squeezed image, then a view of the whole; pixel shuffle merges patches.

The image token of the prompt is replaced by patch tokens of another id, with tile names between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import tiled_view


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
    vision = config.vision_config
    cells = vision.image_size // vision.patch_size // config.downsample_factor
    return tiled_view(size, processor, (cells, cells))


FAMILY = Family(
    name="Aya Vision",
    model_types=("aya_vision",),
    grid=grid,
    prompt=(
        "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{image}{question}<|END_OF_TURN_TOKEN|>"
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
    ),
    verified=PROVED,
    unverified=(RELEASED,),
)
