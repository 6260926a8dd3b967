"""Mistral Small 3.1+ and Pixtral towers: the image in its own shape, merged patches, row breaks.

A row ends with a break token, the image with an end token; both have ids of their own, so that
every image token is a patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import one_view


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The merged patches of the squeezed image; its size in pixels is in the outputs.

    Patches at the right and the bottom that make no whole group are not merged into any token.

    Args:
        config: the model's config, for the patch size and how many are merged.
        processor: the model's processor; not needed.
        size: (width, height) of the original image.
        inputs: the processor's outputs, for the image's size after resizing.
        image: the image's index.
    """
    height, width = (int(side) for side in inputs["image_sizes"][image])
    cell = config.vision_config.patch_size * getattr(config, "spatial_merge_size", 1)
    rows, columns = height // cell, width // cell
    shown = (0.0, 0.0, size[0] * columns * cell / width, size[1] * rows * cell / height)
    return one_view(size, shown, (rows, columns))


FAMILY = Family(
    name="Mistral 3",
    model_types=("mistral3",),
    grid=grid,
    prompt="[INST]{image}{question}[/INST]",
    verified=PROVED,
    unverified=(RELEASED,),
)
