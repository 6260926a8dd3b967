"""Video-LLaVA: LLaVA-1.5's view through a tower of its own for images; only these are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid
from retinoscope.models.families import llava
from retinoscope.models.family import PROVED, RELEASED, Family


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The patches of the centre crop.

    Args:
        config: the model's config, for the tower's patch size.
        processor: the model's processor, for how it resizes.
        size: (width, height) of the original image.
        inputs: the processor's outputs, for the size of the view; transformers is renaming it.
        image: the image's index.
    """
    name = "pixel_values_images" if "pixel_values_images" in inputs else "pixel_values"
    return llava.grid(config, processor, size, {"pixel_values": inputs[name]}, image)


FAMILY = Family(
    name="Video-LLaVA",
    model_types=("video_llava",),
    grid=grid,
    verified=PROVED,
    unverified=(RELEASED, "videos, which are not looked at"),
)
