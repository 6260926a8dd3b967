"""Qwen2-VL: the image in its own shape, 2 x 2 patches merged into one token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, whole_image
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import one_view


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The merged patches of the squeezed image; their number is in the outputs.

    Args:
        config: the model's config, for how many patches are merged.
        processor: the model's processor; not needed.
        size: (width, height) of the original image.
        inputs: the processor's outputs, for the number of patches.
        image: the image's index.
    """
    merge = config.vision_config.spatial_merge_size
    _, rows, columns = (int(count) for count in inputs["image_grid_thw"][image])
    return one_view(size, whole_image(size), (rows // merge, columns // merge))


PROMPT = "<|im_start|>user\n{image}{question}<|im_end|>\n<|im_start|>assistant\n"
IMAGE = "<|vision_start|>{token}<|vision_end|>"

FAMILY = Family(
    name="Qwen2-VL",
    model_types=("qwen2_vl",),
    grid=grid,
    prompt=PROMPT,
    image=IMAGE,
    verified=PROVED,
    unverified=(RELEASED,),
)
