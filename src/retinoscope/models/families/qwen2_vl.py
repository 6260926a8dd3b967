"""Qwen2-VL: the image in its own shape, 2 x 2 patches merged into one token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, whole_image
from retinoscope.models.family import (
    PROVED,
    RELEASED,
    RESAMPLED,
    VIDEOS,
    Family,
    FrameGroup,
    Videos,
)
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


def groups(
    config: Any,
    processor: Any,
    size: tuple[int, int],
    frames: int,
    inputs: Mapping[str, Any],
    video: int,
) -> list[FrameGroup]:
    """Pairs of frames (of a last one alone, itself) and their merged patches.

    Args:
        config: the model's config, for how many frames and patches are merged.
        processor: the model's processor; not needed.
        size: (width, height) of the original frames.
        frames: how many.
        inputs: the processor's outputs, for the number of patches.
        video: the video's index.
    """
    vision = config.vision_config
    merge, together = vision.spatial_merge_size, vision.temporal_patch_size
    count, rows, columns = (int(number) for number in inputs["video_grid_thw"][video])
    grid = one_view(size, whole_image(size), (rows // merge, columns // merge))
    return [
        (tuple(range(start * together, min((start + 1) * together, frames))), grid)
        for start in range(count)
    ]


FRAMES = Videos(groups, form="<|vision_start|>{token}<|vision_end|>")

PROMPT = "<|im_start|>user\n{image}{question}<|im_end|>\n<|im_start|>assistant\n"
IMAGE = "<|vision_start|>{token}<|vision_end|>"

FAMILY = Family(
    name="Qwen2-VL",
    model_types=("qwen2_vl",),
    grid=grid,
    prompt=PROMPT,
    image=IMAGE,
    videos=FRAMES,
    verified=(*PROVED, VIDEOS),
    unverified=(RELEASED, RESAMPLED),
)
