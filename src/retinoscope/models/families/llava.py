"""LLaVA-1.5 and its kin: one square view of the image, one token for each patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.errors import TokenMapError
from retinoscope.geometry import PatchGrid, Tile, centre_crop, whole_image
from retinoscope.geometry.grid import Box
from retinoscope.models.family import Family


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The patches of the resized (and, for CLIP, centre-cropped) view.

    Args:
        config: the model's config, for the tower's patch size.
        processor: the model's processor, for how it resizes.
        size: (width, height) of the original image.
        inputs: the processor's outputs, for the size of the view.
        image: the image's index.
    """
    patch = config.vision_config.patch_size
    height, width = inputs["pixel_values"].shape[-2:]
    if height % patch or width % patch:
        raise TokenMapError(
            f"The view is {width} x {height} pixels, which patches of {patch} don't divide; the "
            "processor does not fit the model."
        )
    box = view_box(processor.image_processor, size)
    return PatchGrid(size, (Tile(height // patch, width // patch, box),))


def view_box(image_processor: Any, size: tuple[int, int]) -> Box:
    """The part of the original image that a CLIP or SigLIP image processor shows.

    Raises:
        TokenMapError: the processor resizes in a way that is not known.
    """
    if not getattr(image_processor, "do_resize", True):
        raise TokenMapError("The image processor has do_resize off; turn it on.")
    resized = dict(image_processor.size)
    edge = resized.get("shortest_edge")
    cropped = getattr(image_processor, "do_center_crop", False)
    if edge and cropped:
        crop = image_processor.crop_size
        return centre_crop(size, edge, (crop["width"], crop["height"]))
    if resized.get("height") and resized.get("width") and not cropped:
        return whole_image(size)
    raise TokenMapError(
        f"The image processor resizes to {resized} with do_center_crop={cropped}; known are "
        "shortest_edge with a centre crop, and height with width without one."
    )


FAMILY = Family(name="LLaVA-1.5", model_types=("llava", "vipllava"), grid=grid)
