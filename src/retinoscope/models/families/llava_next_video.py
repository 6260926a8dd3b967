"""LLaVA-NeXT-Video: LLaVA-NeXT's images; of a video one view for each frame, pooled 2 x 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, Tile
from retinoscope.models.families import llava_next, video_llava
from retinoscope.models.family import (
    PROVED,
    RELEASED,
    RESAMPLED,
    VIDEOS,
    Family,
    FrameGroup,
    Videos,
)


def groups(
    config: Any,
    processor: Any,
    size: tuple[int, int],
    frames: int,
    inputs: Mapping[str, Any],
    video: int,
) -> list[FrameGroup]:
    """Each frame's patches, pooled; those that are left over at the right and bottom are gone.

    Args:
        config: the model's config, for the patch size and how many are pooled.
        processor: the model's processor, for how it resizes frames.
        size: (width, height) of the original frames.
        frames: how many.
        inputs: the processor's outputs, for the size of a view.
        video: the video's index.
    """
    found = video_llava.groups(config, processor, size, frames, inputs, video)
    return [(shown, _pooled(grid, config.spatial_pool_stride)) for shown, grid in found]


def _pooled(grid: PatchGrid, stride: int) -> PatchGrid:
    (tile,) = grid.tiles
    (x0, y0, x1, y1), rows, columns = tile.box, tile.rows // stride, tile.columns // stride
    right = x0 + (x1 - x0) * columns * stride / tile.columns
    bottom = y0 + (y1 - y0) * rows * stride / tile.rows
    return PatchGrid(grid.size, (Tile(rows, columns, (x0, y0, right, bottom)),))


FAMILY = Family(
    name="LLaVA-NeXT-Video",
    model_types=("llava_next_video",),
    grid=llava_next.grid,
    slots=llava_next.slots,
    videos=Videos(groups),
    prompt="USER: {image}\n{question} ASSISTANT:",
    verified=(*PROVED, VIDEOS),
    unverified=(RELEASED, RESAMPLED),
)
