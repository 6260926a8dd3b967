"""The colour and opacity of an image's pixels, whatever mode and format Pillow read them in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Num
from PIL import Image, ImageCms, ImageOps
from PIL.ImageFile import ImageFile

WIDE = ("I", "F")
"""Pillow's modes, beside those that begin with "I;16", of gray samples over 8 bits."""

WHITE = 65535
"""White in 16 bits."""

SCALED = ("PNG", "PPM")
"""Formats whose samples Pillow may read in mode "I", with WHITE as white."""

SPREAD = {"L;2": 85, "L;4": 17}
"""By how much Pillow multiplies the gray samples of a PNG of 2 or 4 bits; not so the transparent
one that the file names, which stays as it was stored."""

BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
"""TIFF tags, and what the second says of gray images where 0 is white."""


@dataclass(frozen=True)
class Gray:
    """Gray samples over 8 bits.

    Attributes:
        values: 0 is black; finite and not negative.
        white: the value of white; None where nothing states it.
        opaque: False where the file says that the pixel is transparent.
    """

    values: Num[np.ndarray, "height width"]
    white: int | None
    opaque: Bool[np.ndarray, "height width"]


def is_gray(image: Image.Image) -> bool:
    """Whether the image is read by `gray`, else by `colour`."""
    return image.mode in WIDE or image.mode.startswith("I;16")


def gray(image: Image.Image) -> Gray:
    """The samples of a gray image over 8 bits, upright.

    Raises:
        ValueError: a sample is negative or no number, or 0 is white and black is not stated.
        OSError and others: the file is broken.
    """
    white = _white(image)
    tags = getattr(image, "tag_v2", {})
    inverted = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    transparent = image.info.get("transparency")
    values = np.asarray(ImageOps.exif_transpose(image))
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("its samples are negative or no numbers; save it with 8 or 16 bits")
    if white is not None and values.max() > white:
        raise ValueError(f"its samples reach {values.max()}, above white, which is {white}")
    opaque = np.ones(values.shape, bool) if transparent is None else values != transparent
    if inverted and white is None:
        raise ValueError("0 is white in it and no value is black; save it with 8 or 16 bits")
    return Gray(white - values if inverted and white else values, white, opaque)


def colour(image: Image.Image) -> Image.Image:
    """Any other image, upright: RGBA where it has transparency, else RGB.

    Raises:
        ValueError: the transparent colour is one of 16 bits a channel, which Pillow reads as 8.
        OSError and others: the file is broken.
    """
    stored = image.tile[0].args if isinstance(image, ImageFile) and image.tile else None
    upright = ImageOps.exif_transpose(image)
    transparent = upright.info.get("transparency")
    if isinstance(stored, str) and stored in SPREAD and isinstance(transparent, int):
        upright.info["transparency"] = transparent * SPREAD[stored]
    elif isinstance(transparent, tuple) and max(transparent) > 255:
        raise ValueError("it names a transparent colour of 16 bits; save it with an alpha channel")
    if upright.mode == "LAB":
        return _lab_as_rgb(upright)
    if upright.mode == "La":
        upright = upright.convert("LA")
    return upright.convert("RGBA" if upright.has_transparency_data else "RGB")


def over_white(image: Image.Image) -> Image.Image:
    """Any image as RGB, upright, its transparent parts over white.

    Raises:
        ValueError: gray samples over 8 bits without a stated white, or as `gray` and `colour`.
        OSError and others: the file is broken.
    """
    if not is_gray(image):
        layer = colour(image)
        if layer.mode == "RGB":
            return layer
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    found = gray(image)
    if found.white is None:
        raise ValueError("32-bit samples have no stated range; save it with 8 or 16 bits")
    levels = np.where(found.opaque, found.values * (255 / found.white), 255)
    return Image.fromarray(np.round(levels).astype(np.uint8)).convert("RGB")


def covered(image: Image.Image) -> Bool[np.ndarray, "height width"]:
    """Where the image, upright, is neither black nor transparent.

    Raises:
        ValueError, OSError and others: as `gray` and `colour`.
    """
    if is_gray(image):
        found = gray(image)
        return np.logical_and(found.values > 0, found.opaque)
    channels = np.asarray(colour(image))
    lit = channels[..., :3].max(axis=-1) > 0
    return np.logical_and(lit, channels[..., 3] > 0) if channels.shape[-1] == 4 else lit


def _white(image: Image.Image) -> int | None:
    """White in a gray image over 8 bits: of 16 bits, but for TIFF, which may have 12."""
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))
        return 2 ** bits[0] - 1
    return WHITE if image.mode == "I" and image.format in SCALED else None


def _lab_as_rgb(image: Image.Image) -> Image.Image:
    """CIE L*a*b* as sRGB, exactly: Pillow's own conversion rounds so that black is (1, 0, 1)."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    exact = ImageCms.Flags.NOOPTIMIZE
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB", flags=exact).apply(image)
