"""What configs and image processors say of themselves, and the part of the image they show."""

from __future__ import annotations

from typing import Any

from retinoscope.errors import ModelError, TokenMapError
from retinoscope.geometry import PatchGrid, Tile, centre_crop, closest_canvas, split, whole_image
from retinoscope.geometry.grid import Box

Cells = tuple[int, int]
"""(rows, columns) of cells."""


def option(processor: Any, name: str) -> Any:
    """An option of image processing as it takes effect when the processor is called.

    A processor class's own `images_kwargs` go before the image processor's attribute: InternVL's
    cuts into tiles although its image processor's `crop_to_patches` is False.
    """
    images = dict(getattr(processor, "images_kwargs", None) or {})
    return images[name] if name in images else getattr(processor.image_processor, name, None)


def image_token(config: Any) -> int:
    """The id of the token that stands for a piece of an image.

    Raises:
        ModelError: the config names none.
    """
    found = _token(config, "image")
    if found is not None:
        return found
    raise ModelError(
        f"The config of this {config.model_type!r} model names no image token; only models whose "
        "visual tokens stand in the language model's sequence can be mapped."
    )


def video_token(config: Any) -> int:
    """The id of the token that stands for a piece of a video.

    Raises:
        ModelError: the config names none.
    """
    found = _token(config, "video")
    if found is None:
        raise ModelError(f"The config of this {config.model_type!r} model names no video token.")
    return found


def _token(config: Any, medium: str) -> int | None:
    names = (f"{medium}_token_id", f"{medium}_token_index")
    return next((int(t) for n in names if (t := getattr(config, n, None)) is not None), None)


def square(side: Any) -> tuple[int, int]:
    """(height, width) from a config's int, pair or {"height", "width"}."""
    if isinstance(side, int):
        return side, side
    if isinstance(side, (list, tuple)):
        return int(side[0]), int(side[1])
    sizes = dict(side)
    return int(sizes["height"]), int(sizes["width"])


def one_view(size: tuple[int, int], box: Box, cells: Cells) -> PatchGrid:
    """One view of the image, cut into cells.

    Args:
        size: (width, height) of the original image.
        box: the view in original-image pixels.
        cells: (rows, columns) of cells.
    """
    return PatchGrid(size, (Tile(cells[0], cells[1], box),))


def tiled_view(size: tuple[int, int], processor: Any, cells: Cells) -> PatchGrid:
    """Tiles of the squeezed image, then a view of the whole: GOT-OCR2's image processor.

    The tiles are of level 1, the whole, which comes last, of level 0; an image of one tile is the
    whole alone.

    Args:
        size: (width, height) of the original image.
        processor: the model's processor.
        cells: (rows, columns) of cells in each tile.
    """
    whole = Tile(cells[0], cells[1], whole_image(size))
    if not option(processor, "crop_to_patches") or option(processor, "max_patches") <= 1:
        return PatchGrid(size, (whole,))
    height, width = square(option(processor, "size"))
    rows, columns = closest_canvas(
        size, (width, height), option(processor, "min_patches"), option(processor, "max_patches")
    )
    if rows * columns == 1:
        return PatchGrid(size, (whole,))
    return PatchGrid(size, (*split(whole_image(size), rows, columns, cells, level=1), whole))


def view_box(images: Any, size: tuple[int, int]) -> Box:
    """The part of the original image that a CLIP, SigLIP or BLIP image processor shows.

    Args:
        images: the image processor, or the video processor, of each frame.
        size: (width, height) of the original image.

    Raises:
        TokenMapError: the processor resizes in a way that is not known.
    """
    if not getattr(images, "do_resize", True):
        raise TokenMapError("The image processor has do_resize off; turn it on.")
    if getattr(images, "do_pad", False):
        raise TokenMapError("The image processor pads (do_pad); only resizing is known here.")
    if getattr(images, "size", None) is None:
        raise TokenMapError(
            f"The image processor ({type(images).__name__}) has no size: how it resizes is its own."
        )
    resized = {key: value for key, value in dict(images.size).items() if value is not None}
    cropped = bool(getattr(images, "do_center_crop", False))
    if cropped and resized.get("shortest_edge"):
        height, width = square(images.crop_size)
        return centre_crop(size, resized["shortest_edge"], (width, height))
    if cropped and resized.get("height") == resized.get("width"):
        # Squeezed to a square: the crop is a centred part of the squeezed image.
        height, width = square(images.crop_size)
        if (height, width) == square(resized):
            return whole_image(size)
    if resized.get("height") and resized.get("width") and not cropped:
        return whole_image(size)
    raise TokenMapError(
        f"The image processor resizes to {resized} with do_center_crop={cropped}; known are "
        "shortest_edge with a centre crop, and height with width without one."
    )
