"""Janus: the image padded to a square, one token for each patch; only reading is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, fitted_square
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import one_view, option, square


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The patches of the padded square.

    Args:
        config: the model's config, for the tower's sizes.
        processor: the model's processor, for how it resizes.
        size: (width, height) of the original image.
        inputs: the processor's outputs; not needed.
        image: the image's index.
    """
    vision = config.vision_config
    cells = vision.image_size // vision.patch_size
    side = square(option(processor, "size"))[0]
    box = fitted_square(size, side, option(processor, "min_size"))
    return one_view(size, box, (cells, cells))


FAMILY = Family(
    name="Janus",
    model_types=("janus",),
    grid=grid,
    prompt="<|User|>: {image}\n{question}\n\n<|Assistant|>:",
    verified=PROVED,
    unverified=(RELEASED, "drawing images, which is not looked at"),
)
