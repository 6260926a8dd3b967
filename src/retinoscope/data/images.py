"""Open any raster image as upright 8-bit RGB, or say what is wrong with the file."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from retinoscope.data.pixels import over_white
from retinoscope.data.reading import is_odd
from retinoscope.data.samples import Sample
from retinoscope.errors import SampleError

MAX_PIXELS = 80_000_000
"""Largest accepted width x height, a guard against decompression bombs (240 MB as RGB)."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Raster formats only: Pillow also opens PostScript, which would start a program."""

BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, struct.error, zlib.error),
    *(RuntimeError, TypeError, OverflowError),
)
"""What Pillow's decoders raise on broken content, those of the last line by AVIF's and TIFF's; the
tests damage files of each format."""

ORIENTATION = 0x0112
"""The EXIF tag; values 5 to 8 swap width and height."""

TURNED = (5, 6, 7, 8)


@contextmanager
def opened(
    source: str | Path | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> Iterator[Image.Image]:
    """An image file opened lazily by Pillow; whatever goes wrong inside is a `SampleError`.

    Args:
        source: the image file, or its content.
        name: how an error calls the image; the path by default.
        max_pixels: refuse images of more pixels than this.

    Raises:
        SampleError: the file is missing, truncated, not a raster image or too large.
    """
    name = name or ("the image" if isinstance(source, bytes) else str(source))
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    if not isinstance(source, bytes) and is_odd(Path(source)):
        # A pipe or a device could be read for ever.
        raise SampleError(f"{name}: not an image file but a folder, a pipe or a device.")
    try:
        with Image.open(file, formats=_formats()) as image:
            if image.width * image.height > max_pixels:
                raise SampleError(_too_large(name, f"{image.width} x {image.height}", max_pixels))
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SampleError(_too_large(name, "far too many", max_pixels)) from error
    except FileNotFoundError as error:
        raise SampleError(f"{name}: there is no such image file. Check the path.") from error
    except UnidentifiedImageError as error:
        raise SampleError(
            f"{name}: not an image that can be read. Expected one of {', '.join(FORMATS)}; "
            "convert it to one of these."
        ) from error
    except BROKEN as error:
        raise SampleError(
            f"{name}: the image is truncated or broken ({error}). Fetch it again."
        ) from error


def open_image(
    source: str | Path | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Read one image as it is meant to be seen.

    Grayscale, CMYK, LAB and palette images become RGB; 16-bit channels are scaled to 8 bits, not
    clipped; transparency is laid over white; the EXIF orientation is applied; of an animation the
    first frame is taken.

    Args:
        source: the image file, or its content.
        name: how an error calls the image; the path by default.
        max_pixels: refuse images of more pixels than this.

    Returns:
        An RGB image, fully read; the file is closed.

    Raises:
        SampleError: see `opened`.
    """
    with opened(source, name=name, max_pixels=max_pixels) as image:
        return over_white(image)


def upright_rgb(image: Image.Image) -> Image.Image:
    """An image that is open already, as `open_image` would read its file.

    Raises:
        SampleError: its samples have no stated range, or what is read of it now is broken.
    """
    try:
        return over_white(image)
    except BROKEN as error:
        raise SampleError(
            f"The image of mode {image.mode} can't be read ({error}). Give it as RGB."
        ) from error


def load_image(sample: Sample) -> Image.Image:
    """The sample's image, RGB, upright, of the size that its annotations were drawn for.

    Raises:
        SampleError: see `open_image`; also if the file's size is not the sample's, since its
            masks would then lie on other pixels.
    """
    content = sample.path if sample.read is None else sample.read()
    image = open_image(content, name=str(sample.path))
    if image.size != (sample.width, sample.height):
        raise SampleError(
            f"{sample.path}: the upright image is {image.width} x {image.height} pixels but its "
            f"annotations are for {sample.width} x {sample.height}. Use the image file that the "
            "annotations were made from."
        )
    return image


def image_size(source: Path | bytes, *, name: str | None = None) -> tuple[int, int]:
    """Width and height of an image file, EXIF rotation applied, from its header alone.

    Raises:
        SampleError: see `opened`.
    """
    with opened(source, name=name) as image:
        # Pillow tells the size of a TIFF turned already, of any other format as it is stored.
        turned = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) in TURNED
        return (image.height, image.width) if turned else image.size


def _formats() -> list[str]:
    """The accepted formats that this build of Pillow can read."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _too_large(name: str, size: str, max_pixels: int) -> str:
    return (
        f"{name}: {size} pixels, more than the {max_pixels} that are accepted. "
        "Scale the image down."
    )
