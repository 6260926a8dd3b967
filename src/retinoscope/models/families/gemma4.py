"""Gemma 4: the image in about its own shape, 3 x 3 patches averaged into one token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, whole_image
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import one_view


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The averaged patches of the squeezed image; where each patch stands is in the outputs.

    Args:
        config: the model's config, for how many patches are averaged.
        processor: the model's processor; not needed.
        size: (width, height) of the original image.
        inputs: the processor's outputs, for the patches' columns and rows (-1 is padding).
        image: the image's index.
    """
    pool = config.vision_config.pooling_kernel_size
    columns, rows = (int(last) + 1 for last in inputs["image_position_ids"][image].amax(0))
    return one_view(size, whole_image(size), (rows // pool, columns // pool))


FAMILY = Family(
    name="Gemma 4",
    model_types=("gemma4",),
    grid=grid,
    prompt="<|turn>user\n{image}{question}<turn|>\n<|turn>model\n",
    verified=PROVED,
    unverified=(RELEASED, "videos and sounds, which are not looked at"),
)
