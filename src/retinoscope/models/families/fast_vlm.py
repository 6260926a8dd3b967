"""FastVLM: a tower of convolutions, whose tokens blend what lies around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.geometry import PatchGrid, UnplacedGrid
from retinoscope.models.family import LOADING, RELEASED, RUNNING, Family
from retinoscope.models.views import image_token


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """As many tokens as an image has; asking for a place raises TokenMapError."""
    total = int((inputs["input_ids"][0] == image_token(config)).sum())
    return UnplacedGrid(
        size,
        (),
        count=total // len(inputs["pixel_values"]),
        reason="FastVLM's tower of convolutions blends each token with what lies around it.",
    )


FAMILY = Family(
    name="FastVLM",
    model_types=("fast_vlm",),
    grid=grid,
    prompt="<|im_start|>user\n{image}\n{question}<|im_end|>\n<|im_start|>assistant\n",
    verified=(RUNNING, LOADING),
    unverified=(RELEASED, "the FastViT tower, which needs timm: the tests use a ResNet"),
)
