"""Idefics2: a Perceiver's queries read the whole image; their tokens have no place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, UnplacedGrid
from retinoscope.models.family import LOADING, RELEASED, RUNNING, Family
from retinoscope.models.views import option


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """One visual token for each query, of five views where the image is split; none has a place."""
    views = 5 if option(processor, "do_image_splitting") else 1
    return UnplacedGrid(
        size,
        (),
        count=config.perceiver_config.resampler_n_latents * views,
        reason="a Perceiver resampler's queries each read a whole view of the image.",
    )


FAMILY = Family(
    name="Idefics2",
    model_types=("idefics2",),
    grid=grid,
    prompt="User:{image}{question}<end_of_utterance>\nAssistant:",
    verified=(RUNNING, LOADING),
    unverified=(RELEASED,),
)
