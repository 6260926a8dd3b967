"""MiniCPM-V 4.6: a view of the whole in its own shape, then slices; 4 x 4 patches merged.

Each view stands between marks of its own; slices are cut from the squeezed image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, Tile, split, whole_image
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import option


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The merged patches of the whole (level 0) and of each slice (level 1).

    Args:
        config: the model's config; not needed.
        processor: the model's processor, for its marks and for how it cuts slices.
        size: (width, height) of the original image.
        inputs: the processor's outputs, for the marks and the patches of each view.
        image: the image's index.
    """
    before = sum(views(processor, inputs)[:image])
    merge = 2 if option(processor, "downsample_mode") == "4x" else 4
    sizes = [(int(h) // merge, int(w) // merge) for h, w in inputs["target_sizes"]]
    whole = Tile(*sizes[before], whole_image(size))
    if views(processor, inputs)[image] == 1:
        return PatchGrid(size, (whole,))
    rows, columns = processor.image_processor.get_sliced_grid(
        size[::-1], option(processor, "max_slice_nums"), option(processor, "scale_resolution")
    )
    slices = split(whole_image(size), rows, columns, sizes[before + 1], level=1)
    return PatchGrid(size, (whole, *slices))


def views(processor: Any, inputs: Mapping[str, Any]) -> list[int]:
    """How many views each image of the prompt has, read off the marks before them."""
    words = processor.tokenizer
    image = words.convert_tokens_to_ids(processor.image_start_token)
    part = words.convert_tokens_to_ids(processor.slice_start_token)
    counts: list[int] = []
    for token in inputs["input_ids"][0].tolist():
        if token == image:
            counts.append(1)
        elif token == part:
            counts[-1] += 1
    return counts


FAMILY = Family(
    name="MiniCPM-V",
    model_types=("minicpmv4_6",),
    grid=grid,
    prompt="<|im_start|>user\n{image}\n{question}<|im_end|>\n<|im_start|>assistant\n",
    verified=PROVED,
    unverified=(RELEASED, "videos, which are not looked at"),
)
