"""Aria: a projector's queries read the whole image; their tokens have no place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.errors import TokenMapError
from retinoscope.geometry import PatchGrid, UnplacedGrid
from retinoscope.models.family import LOADING, RELEASED, RUNNING, Family
from retinoscope.models.views import image_token, option


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """One visual token for each query; asking for its place raises TokenMapError.

    Raises:
        TokenMapError: the processor splits images, and there are several.
    """
    queries = processor.size_conversion[inputs["pixel_values"].shape[2]]
    if option(processor, "split_image"):
        if image:
            raise TokenMapError(
                "Aria's processor splits images (split_image), so that which of several images a "
                "token belongs to is not known; turn split_image off, or look at one at a time."
            )
        queries = int((inputs["input_ids"][0] == image_token(config)).sum())
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
