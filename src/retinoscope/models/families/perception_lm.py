"""PerceptionLM: a view of the whole, then tiles of the squeezed image; patches are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, Tile, split, whole_image
from retinoscope.models.family import RELEASED, SHARED_VISION, TOKEN_MAP, Family
from retinoscope.models.views import option


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The averaged patches of the whole (level 0) and of each tile (level 1).

    Args:
        config: the model's config; not needed.
        processor: the model's processor, for how it cuts tiles and how many patches it averages.
        size: (width, height) of the original image.
        inputs: the processor's outputs; not needed.
        image: the image's index.
    """
    side = option(processor, "tile_size")
    cells = side // processor.patch_size // processor.pooling_ratio
    whole = Tile(cells, cells, whole_image(size))
    if option(processor, "vision_input_type") != "thumb+tile":
        return PatchGrid(size, (whole,))
    # The image processor's own choice, by the methods that the model's processor calls too.
    sizes = {"img_width": size[0], "img_height": size[1], "tile_size": side}
    images = processor.image_processor
    canvas = images._fit_image_to_canvas(**sizes) or images._find_closest_aspect_ratio(**sizes)
    columns, rows = canvas
    tiles = split(whole_image(size), rows, columns, (cells, cells), level=1)
    return PatchGrid(size, (whole, *tiles))


FAMILY = Family(
    name="PerceptionLM",
    model_types=("perception_lm",),
    grid=grid,
    prompt="<|start_header_id|>user<|end_header_id|>\n\n{image}{question}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    verified=(TOKEN_MAP, SHARED_VISION),
    unverified=(
        RELEASED,
        "the tower, which needs timm: the tests use CLIP's",
        "resampling and loading: its image processor needs torchvision, only its choice of tiles "
        "was run",
        "several images in one prompt: its processor takes them only with as many tiles each",
    ),
)
