"""Llama 3.2 Vision: the image is read through cross-attention and has no token in the sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from retinoscope.geometry import PatchGrid, UnplacedGrid
from retinoscope.models.family import LOADING, RELEASED, RUNNING, Family


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """No cells: asking for one raises TokenMapError."""
    return UnplacedGrid(
        size,
        (),
        count=0,
        reason="Llama 3.2 Vision reads the image through cross-attention layers, and no position "
        "of its sequence holds a part of the image.",
    )


def slots(grid: PatchGrid) -> Bool[np.ndarray, " image_tokens"]:
    """The one image token of an image only marks from where it may be attended to."""
    return np.zeros(1, dtype=bool)


FAMILY = Family(
    name="Llama 3.2 Vision",
    model_types=("mllama",),
    grid=grid,
    slots=slots,
    prompt="{image}<|begin_of_text|>{question}",
    verified=(RUNNING, LOADING),
    unverified=(RELEASED,),
)
