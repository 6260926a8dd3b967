"""Idefics3: tiles of the squeezed image, then a view of the whole; pixel shuffle merges patches.

Tokens that name a tile's row and column stand before it; they have ids of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from retinoscope.errors import TokenMapError
from retinoscope.geometry import PatchGrid, Tile, split, whole_image
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import option

_LONGEST = 4096
"""Idefics3's image processor never makes an image longer than this, whatever its options say."""


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

    Raises:
        TokenMapError: the processor's tiles are not what the tower takes.
    """
    vision = config.vision_config
    side = int(dict(option(processor, "max_image_size"))["longest_edge"])
    if side != vision.image_size:
        raise TokenMapError(
            f"The image processor cuts tiles of {side} pixels but the tower takes "
            f"{vision.image_size}; the processor does not fit the model."
        )
    cells = vision.image_size // vision.patch_size // config.scale_factor
    whole = Tile(cells, cells, whole_image(size))
    rows, columns = canvas(processor, size, side)
    if rows * columns == 1:
        return PatchGrid(size, (whole,))
    return PatchGrid(
        size, (*split(whole_image(size), rows, columns, (cells, cells), level=1), whole)
    )


def canvas(processor: Any, size: tuple[int, int], side: int) -> tuple[int, int]:
    """(rows, columns) of tiles, with the rounding of Idefics3's image processor.

    Args:
        processor: the model's processor.
        size: (width, height) of the original image.
        side: side of a tile in pixels.
    """
    if not option(processor, "do_image_splitting"):
        return 1, 1
    width, height = size
    if option(processor, "do_resize"):
        width, height = _longest(size, int(dict(option(processor, "size"))["longest_edge"]))
    if width >= height:
        columns = math.ceil(width / side)
        return math.ceil(int(columns * side / (width / height)) / side), columns
    rows = math.ceil(height / side)
    return rows, math.ceil(int(rows * side * (width / height)) / side)


def _longest(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(width, height) after the longer edge is resized; the shorter is made even."""
    aspect = size[0] / size[1]
    if aspect >= 1:
        even = int(longest / aspect)
        width, height = longest, even + even % 2
    else:
        even = int(longest * aspect)
        width, height = even + even % 2, longest
    width, height = max(width, 1), max(height, 1)
    aspect = width / height
    if width >= height and width > _LONGEST:
        width, height = _LONGEST, int(_LONGEST / aspect)
    elif height > width and height > _LONGEST:
        width, height = int(_LONGEST * aspect), _LONGEST
    return max(width, 1), max(height, 1)


FAMILY = Family(
    name="Idefics3",
    model_types=("idefics3",),
    grid=grid,
    prompt="<|begin_of_text|>User:{image}{question}<end_of_utterance>\nAssistant:",
    verified=PROVED,
    unverified=(RELEASED,),
)
