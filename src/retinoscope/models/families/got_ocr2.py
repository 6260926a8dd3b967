"""GOT-OCR2: convolutions make one token of 4 x 4 patches and look into the cells around them.

They pad each side by one, so that a token's middle is the upper left patch of its 4 x 4: the
pixels of a cell often move a neighbour's token more than its own, and no map of cells would hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, UnplacedGrid
from retinoscope.models.family import LOADING, RELEASED, RUNNING, Family
from retinoscope.models.views import tiled_view

MERGED = 4
"""Patches on a side that the two convolutions of stride 2 make one token of."""


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """As many tokens as the tiles and the view of the whole have; asking for a place raises.

    Args:
        config: the model's config, for the tower's sizes.
        processor: the model's processor, for how it cuts tiles.
        size: (width, height) of the original image.
        inputs: the processor's outputs; not needed.
        image: the image's index.
    """
    vision = config.vision_config
    cells = vision.image_size // vision.patch_size // MERGED
    return UnplacedGrid(
        size,
        (),
        count=len(tiled_view(size, processor, (cells, cells))),
        reason="GOT-OCR2's convolutions blend each token with the cells around its own.",
    )


FAMILY = Family(
    name="GOT-OCR2",
    model_types=("got_ocr2",),
    grid=grid,
    prompt="<|im_start|>user\n<img>{image}</img>\n{question}<|im_end|><|im_start|>assistant\n",
    verified=(RUNNING, LOADING),
    unverified=(RELEASED,),
)
