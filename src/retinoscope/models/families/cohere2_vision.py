"""Command A Vision: tiles of the squeezed image, then a view of the whole; patches merged.

A line break of its own id stands behind each tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, Tile, least_scaled_canvas, split, whole_image
from retinoscope.models.family import RELEASED, SEVERAL_IMAGES, SHARED_VISION, TOKEN_MAP, Family
from retinoscope.models.views import option, square


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
    whole = Tile(cells, cells, whole_image(size))
    if not option(processor, "crop_to_patches"):
        return PatchGrid(size, (whole,))
    side = square(option(processor, "size"))[0]
    rows, columns = least_scaled_canvas(size, side, option(processor, "max_patches"))
    if rows * columns == 1:
        return PatchGrid(size, (whole,))
    tiles = split(whole_image(size), rows, columns, (cells, cells), level=1)
    return PatchGrid(size, (*tiles, whole))


FAMILY = Family(
    name="Command A Vision",
    model_types=("cohere2_vision",),
    grid=grid,
    prompt=(
        "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{image}{question}<|END_OF_TURN_TOKEN|>"
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
    ),
    verified=(TOKEN_MAP, SEVERAL_IMAGES, SHARED_VISION),
    unverified=(
        RELEASED,
        "resampling and loading: its image processor needs torchvision, only its choice of tiles "
        "was run",
    ),
)
