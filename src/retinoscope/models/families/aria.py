"""Aria: a projector's queries read the whole image; their tokens have no place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, UnplacedGrid
from retinoscope.models.family import LOADING, RELEASED, RUNNING, Family
from retinoscope.models.views import image_token, option


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """One visual token for each query; asking for its place raises TokenMapError.

    Where the processor splits images, the first image of a prompt holds the tokens of all.
    """
    queries = processor.size_conversion[inputs["pixel_values"].shape[2]]
    if option(processor, "split_image"):
        total = int((inputs["input_ids"][0] == image_token(config)).sum())
        queries = 0 if image else total
    return UnplacedGrid(
        size,
        (),
        count=queries,
        reason="Aria's projector has queries that each read the whole image.",
    )


FAMILY = Family(
    name="Aria",
    model_types=("aria",),
    grid=grid,
    prompt="<|im_start|>user\n{image}{question}<|im_end|>\n<|im_start|>assistant\n",
    image="<fim_prefix>{token}<fim_suffix>",
    verified=(RUNNING, LOADING),
    unverified=(RELEASED,),
)
