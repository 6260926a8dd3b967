"""Which rectangle of the original image a model's input shows, for each way of resizing."""

from __future__ import annotations

import math

from retinoscope.geometry.grid import Box


def whole_image(size: tuple[int, int]) -> Box:
    """The whole image, squeezed to whatever shape the model wants."""
    width, height = size
    return (0.0, 0.0, float(width), float(height))


def centre_crop(size: tuple[int, int], shortest_edge: int, crop: tuple[int, int]) -> Box:
    """Resize the shorter edge, then cut (or pad) the centre: CLIP's way.

    Follows the rounding of Hugging Face's image processors: the longer edge is truncated to whole
    pixels, the crop's offset is floored.

    Args:
        size: (width, height) of the original image.
        shortest_edge: the shorter edge after resizing, in pixels.
        crop: (width, height) of the crop, in pixels.

    Returns:
        The crop in original-image pixels; it leaves the image where the crop was padded.
    """
    width, height = size
    if width <= height:
        new_width, new_height = shortest_edge, int(shortest_edge * height / width)
    else:
        new_width, new_height = int(shortest_edge * width / height), shortest_edge
    left = _offset(new_width, crop[0])
    top = _offset(new_height, crop[1])
    scale_x, scale_y = width / new_width, height / new_height
    return (
        left * scale_x,
        top * scale_y,
        (left + crop[0]) * scale_x,
        (top + crop[1]) * scale_y,
    )


def letterbox(size: tuple[int, int], target: tuple[int, int]) -> Box:
    """Resize to fit inside the target, keep the aspect, pad both sides equally.

    Args:
        size: (width, height) of the original image.
        target: (width, height) of the padded input.

    Returns:
        The padded input's rectangle in original-image pixels; it leaves the image on two sides.
    """
    width, height = size
    scale = min(target[0] / width, target[1] / height)
    pad_x = (target[0] / scale - width) / 2
    pad_y = (target[1] / scale - height) / 2
    return (-pad_x, -pad_y, width + pad_x, height + pad_y)


def padded_fit(size: tuple[int, int], target: tuple[int, int]) -> Box:
    """Resize to fit inside the target in whole pixels, then pad the rest on both sides.

    As `letterbox`, but with the rounding of LLaVA-NeXT's image processor: the shorter edge is
    rounded up, an odd pixel of padding goes to the right or the bottom.

    Args:
        size: (width, height) of the original image.
        target: (width, height) of the padded input.

    Returns:
        The padded input's rectangle in original-image pixels; it leaves the image on two sides.
    """
    width, height = size
    scale_x, scale_y = target[0] / width, target[1] / height
    if scale_x < scale_y:
        fitted = (target[0], min(math.ceil(height * scale_x), target[1]))
    else:
        fitted = (min(math.ceil(width * scale_y), target[0]), target[1])
    left, top = (target[0] - fitted[0]) // 2, (target[1] - fitted[1]) // 2
    pixel_x, pixel_y = width / fitted[0], height / fitted[1]
    return (
        -left * pixel_x,
        -top * pixel_y,
        (target[0] - left) * pixel_x,
        (target[1] - top) * pixel_y,
    )


def fitted_square(size: tuple[int, int], side: int, smallest: int) -> Box:
    """Resize the longer edge to a square's side, then pad the shorter one: Janus's way.

    Both edges are rounded to whole pixels, the shorter one to at least `smallest`; an odd pixel of
    padding goes to the right or the bottom.

    Args:
        size: (width, height) of the original image.
        side: side of the square in pixels.
        smallest: least number of pixels of the shorter edge after resizing.

    Returns:
        The square in original-image pixels; it leaves the image on two sides.
    """
    fitted = [max(round(edge * (side / max(size))), smallest) for edge in size]
    before = [(max(fitted) - edge) // 2 for edge in fitted]
    pixel = [edge / resized for edge, resized in zip(size, fitted, strict=True)]
    return (
        -before[0] * pixel[0],
        -before[1] * pixel[1],
        (max(fitted) - before[0]) * pixel[0],
        (max(fitted) - before[1]) * pixel[1],
    )


def padded_square(size: tuple[int, int]) -> Box:
    """Pad the shorter side to a square with whole pixels, the odd one to the right or the bottom.

    Args:
        size: (width, height) of the original image.
    """
    width, height = size
    side = max(size)
    left, top = (side - width) // 2, (side - height) // 2
    return (float(-left), float(-top), float(side - left), float(side - top))


def centred_square(size: tuple[int, int]) -> Box:
    """The square of the shorter edge in the image's centre, its offset in whole pixels.

    Args:
        size: (width, height) of the original image.
    """
    width, height = size
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    return (float(left), float(top), float(left + side), float(top + side))


def _offset(edge: int, crop: int) -> int:
    """First pixel of a centred crop; negative where the image is smaller and gets padded."""
    if crop <= edge:
        return (edge - crop) // 2
    padding = crop - edge
    return -(padding // 2 + padding % 2)
