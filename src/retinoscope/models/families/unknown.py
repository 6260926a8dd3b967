"""A model that no family file covers: its geometry is guessed from its inputs and said to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from retinoscope.errors import TokenMapError
from retinoscope.geometry import PatchGrid, UnplacedGrid
from retinoscope.models.families import qwen2_vl
from retinoscope.models.family import Family
from retinoscope.models.views import image_token, one_view, view_box


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The likeliest grid: Qwen-VL's if the outputs name one, else one square view.

    Where neither fits, the visual tokens have no place; nothing is made up.

    Args:
        config: the model's config, for its image token.
        processor: the model's processor, for how it resizes.
        size: (width, height) of the original image.
        inputs: the processor's outputs, for the number of image tokens.
        image: the image's index.

    Raises:
        TokenMapError: it is a second image, and which of them a token belongs to can't be told.
    """
    vision = getattr(config, "vision_config", None)
    if "image_grid_thw" in inputs and hasattr(vision, "spatial_merge_size"):
        return qwen2_vl.grid(config, processor, size, inputs, image)
    tokens = int((inputs["input_ids"][0] == image_token(config)).sum())
    side = math.isqrt(tokens)
    reason = f"its {tokens} image tokens are not a square grid of one view of one image."
    views = len(inputs["pixel_values"]) if "pixel_values" in inputs else 0
    if side and side * side == tokens and views == 1:
        try:
            return one_view(size, view_box(processor.image_processor, size), (side, side))
        except TokenMapError as error:
            reason = str(error)
    if image:
        raise TokenMapError(
            f"No family describes how a {config.model_type!r} model lays images out, so that which "
            "of several images a token belongs to is not known; look at one image at a time."
        )
    return UnplacedGrid(
        size,
        (),
        count=tokens,
        reason=f"no family describes how a {config.model_type!r} model lays images out, and "
        f"{reason}",
    )


FAMILY = Family(
    name="Unknown",
    model_types=("",),
    grid=grid,
    unverified=(
        "everything: the geometry is guessed; `retinoscope check` says whether the guess holds",
    ),
)
