"""BLIP-2 and InstructBLIP: learnt queries read the whole image; their tokens have no place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, UnplacedGrid
from retinoscope.models.family import LOADING, RELEASED, RUNNING, Family


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """One visual token for each query; asking for its place raises TokenMapError."""
    return UnplacedGrid(
        size,
        (),
        count=config.num_query_tokens,
        reason="a Q-Former's queries each read the whole image, and no token stands for a part of "
        "it.",
    )


FAMILY = Family(
    name="BLIP-2 and InstructBLIP",
    model_types=("blip-2", "instructblip"),
    grid=grid,
    prompt="Question: {question} Answer:",
    verified=(RUNNING, LOADING),
    unverified=(RELEASED,),
)
