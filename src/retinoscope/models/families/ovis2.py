"""Ovis2: a view of the whole, then tiles of the squeezed image; 2 x 2 patches merged.

A token is a mix of the rows of a table of visual words. Marks stand between the tiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.errors import TokenMapError
from retinoscope.geometry import PatchGrid, Tile, split, whole_image
from retinoscope.models.family import PROVED, RELEASED, Family


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The merged patches of the whole (level 0) and of each tile (level 1).

    Args:
        config: the model's config, for the tower's sizes and how many patches are merged.
        processor: the model's processor, for its marks.
        size: (width, height) of the original image.
        inputs: the processor's outputs, for the marks between the tiles.
        image: the image's index.

    Raises:
        TokenMapError: the merging leaves patches over.
    """
    vision = config.vision_config
    patches, stride = vision.image_size // vision.patch_size, vision.hidden_stride
    if patches % stride:
        raise TokenMapError(
            f"The tower has {patches} patches on a side, which groups of {stride} don't divide."
        )
    cells = (patches // stride, patches // stride)
    whole = Tile(*cells, whole_image(size))
    rows, columns = canvas(processor, inputs, image)
    if rows * columns == 1:
        return PatchGrid(size, (whole,))
    return PatchGrid(size, (whole, *split(whole_image(size), rows, columns, cells, level=1)))


def canvas(processor: Any, inputs: Mapping[str, Any], image: int) -> tuple[int, int]:
    """(rows, columns) of an image's tiles, from the marks in the sequence.

    Args:
        processor: the model's processor, for its marks.
        inputs: the processor's outputs.
        image: the image's index.
    """
    marks = ["<IMG_START>", "<IMG_ROW>", "<IMG_COL>"]
    start, row, column = processor.tokenizer.convert_tokens_to_ids(marks)
    ids = inputs["input_ids"][0].tolist()
    starts = [place for place, token in enumerate(ids) if token == start]
    own = ids[starts[image] : [*starts, len(ids)][image + 1]]
    rows = own.count(row) + 1
    return rows, own.count(column) // rows + 1


FAMILY = Family(
    name="Ovis2",
    model_types=("ovis2",),
    grid=grid,
    prompt="<|im_start|>user\n{image}\n{question}<|im_end|>\n<|im_start|>assistant\n",
    verified=PROVED,
    unverified=(RELEASED,),
)
