"""Video-LLaVA: LLaVA-1.5's view, of an image or of each frame through a tower for videos.

The tokens of a frame begin with the tower's class token, which has no place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from retinoscope.geometry import PatchGrid
from retinoscope.models.families import llava
from retinoscope.models.family import (
    PROVED,
    RELEASED,
    RESAMPLED,
    VIDEOS,
    Family,
    FrameGroup,
    Videos,
)
from retinoscope.models.views import one_view, view_box


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


def groups(
    config: Any,
    processor: Any,
    size: tuple[int, int],
    frames: int,
    inputs: Mapping[str, Any],
    video: int,
) -> list[FrameGroup]:
    """The patches of each frame's centre crop.

    Args:
        config: the model's config, for the tower's patch size.
        processor: the model's processor, for how it resizes frames.
        size: (width, height) of the original frames.
        frames: how many.
        inputs: the processor's outputs, for the size of a view.
        video: the video's index.
    """
    patch = config.vision_config.patch_size
    height, width = inputs["pixel_values_videos"].shape[-2:]
    box = view_box(processor.video_processor, size)
    view = one_view(size, box, (height // patch, width // patch))
    return [((frame,), view) for frame in range(frames)]


def slots(grid: PatchGrid) -> Bool[np.ndarray, " video_tokens"]:
    """Every video token of a frame but its first, the class token."""
    return np.arange(1 + len(grid)) > 0


FAMILY = Family(
    name="Video-LLaVA",
    model_types=("video_llava",),
    grid=grid,
    videos=Videos(groups, slots=slots),
    verified=(*PROVED, VIDEOS),
    unverified=(RELEASED, RESAMPLED),
)
