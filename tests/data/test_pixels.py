"""A law over modes: a mask or an image means the same, however its pixels are stored."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from retinoscope.data import open_image, upright_rgb
from retinoscope.data.images import image_size, opened
from retinoscope.data.pixels import covered
from retinoscope.errors import SampleError

ORIENTATION = 0x0112
SHAPE = (6, 9)
MASKS = arrays.arrays(np.bool_, SHAPE).filter(lambda mask: bool(mask.any()))
OPAQUE = ("PNG", "TIFF", "GIF", "BMP", "PPM", "WEBP", "JPEG2000")
"""Formats that keep gray and colours, lossless as `stored` writes them."""

ALPHA = ("PNG", "TIFF", "WEBP", "JPEG2000")
PALETTE = ("PNG", "TIFF", "GIF", "BMP", "WEBP")
DEEP = ("PNG", "TIFF", "PPM", "JPEG2000")


def stored(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    given_options = {"lossless": True} if kind == "WEBP" else {}
    picture.save(stream, kind, **given_options | options)
    return stream.getvalue()


def mask_of(content: bytes) -> np.ndarray:
    with opened(content) as image:
        return covered(image)


def indexed(truth: np.ndarray, background: int, palette: list[int]) -> Image.Image:
    """A palette image whose background has that index and whose object has the other of 0 and 1."""
    picture = Image.fromarray(np.where(truth, 1 - background, background).astype(np.uint8))
    picture.putpalette(palette)
    return picture


def ways(truth: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """The mask in every mode that a lossless format keeps."""
    levels = truth.astype(np.uint8)
    white, bright = Image.fromarray(levels * 255), Image.new("L", SHAPE[::-1], 255)
    colour = Image.merge("RGB", (white, white, white))
    seen = Image.fromarray(np.full((*SHAPE, 3), 200, np.uint8))
    see_through = seen.copy()
    see_through.putalpha(white)
    both = (("LA", white.convert("LA")), ("LA, white", Image.merge("LA", (bright, white))))
    pictures = [
        *((name, picture, ALPHA) for name, picture in both),
        ("1", Image.fromarray(truth), ("PNG", "TIFF", "GIF", "BMP", "PPM", "WEBP")),
        ("L", white, OPAQUE),
        ("L, faint", Image.fromarray(levels), OPAQUE),
        ("PA", Image.merge("PA", (bright.convert("P"), white)), ("TIFF",)),
        ("P", colour.convert("P"), PALETTE),
        ("P, white first", indexed(truth, 1, [255, 255, 255, 0, 0, 0]), PALETTE),
        ("P, black first", indexed(truth, 0, [0, 0, 0, 9, 0, 0]), PALETTE),
        ("P, quantised", colour.quantize(2), PALETTE),
        ("RGB", colour, OPAQUE),
        ("RGB, blue", Image.fromarray(np.stack([levels * 0, levels * 0, levels * 9], -1)), OPAQUE),
        ("RGBA", colour.convert("RGBA"), ALPHA),
        ("RGBA, transparent", see_through, ALPHA),
        ("RGBX", colour.convert("RGBX"), ("TIFF",)),
        ("CMYK", colour.convert("CMYK"), ("TIFF", "JPEG2000")),
        ("YCbCr", colour.convert("YCbCr"), ("TIFF", "JPEG2000")),
        ("LAB", colour.convert("LAB"), ("TIFF",)),
        ("I;16", Image.fromarray(levels.astype(np.uint16)), DEEP),
        ("I;16B", Image.fromarray(levels.astype(">u2") * 300), DEEP),
        ("I", Image.fromarray(levels.astype(np.int32) * 70_000), ("TIFF",)),
        ("F", Image.fromarray(levels.astype(np.float32) / 3), ("TIFF", "PPM")),
    ]
    for name, picture, kinds in pictures:
        for kind in kinds:
            yield f"{name} as {kind}", stored(picture, kind)
    clear = indexed(truth, 0, [255, 255, 255, 200, 0, 0])
    for kind in ("PNG", "GIF"):
        yield f"P, transparent index as {kind}", stored(clear, kind, transparency=0)
    yield "P, palette of alphas", stored(clear, "PNG", transparency=b"\x00\x7f")
    yield (
        "L, transparent white",
        stored(Image.fromarray(255 - levels * 155), "PNG", transparency=255),
    )
    lit = Image.fromarray(np.where(truth[..., None], [[[9, 9, 9]]], [[[7, 8, 9]]]).astype(np.uint8))
    yield "RGB, transparent colour", stored(lit, "PNG", transparency=(7, 8, 9))


@settings(max_examples=10)
@given(MASKS)
def test_a_mask_is_the_same_in_every_mode_and_format(truth: np.ndarray) -> None:
    modes = set()
    for name, content in ways(truth):
        with opened(content) as image:
            modes.add(image.mode)
        assert np.array_equal(mask_of(content), truth), name
    assert modes >= {
        "1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F",
    }  # fmt: skip


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def gray_png(bits: int, values: list[int], transparent: int) -> bytes:
    """A gray PNG of one row, with a transparent value."""
    written = "".join(format(value, f"0{bits}b") for value in values)
    written += "0" * (-len(written) % 8)
    row = b"\0" + int(written, 2).to_bytes(len(written) // 8, "big")
    header = struct.pack(">IIBBBBB", len(values), 1, bits, 0, 0, 0, 0)
    body = chunk(b"tRNS", struct.pack(">H", transparent)) + chunk(b"IDAT", zlib.compress(row))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@settings(max_examples=30)
@given(data=st.data())
def test_the_transparent_gray_of_a_png_is_that_which_was_stored(
    bits: int, data: st.DataObject
) -> None:
    top = 2**bits - 1
    values = data.draw(st.lists(st.integers(0, top), min_size=1, max_size=9))
    clear = data.draw(st.sampled_from([*values, 0, top]))
    content = gray_png(bits, values, clear)
    assert mask_of(content)[0].tolist() == [value not in (0, clear) for value in values]
    shown = np.asarray(open_image(content))[0, :, 0]
    expected = [255 if value == clear else round(value * 255 / top) for value in values]
    assert shown.tolist() == expected


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_a_tiff_whose_zero_is_white_is_not_inverted(bits: int, dtype: type) -> None:
    values = np.array([[0, 2**bits - 1, 2**bits - 2]], dtype)
    content = stored(Image.fromarray(values), "TIFF", tiffinfo=tags({262: 0}))
    with Image.open(io.BytesIO(content)) as image:
        assert image.tag_v2[262] == 0  # pyright: ignore[reportAttributeAccessIssue]
    # Pillow writes the samples as they are for 16 bits, and inverts them for 8.
    inverted = bits == 16
    assert mask_of(content)[0].tolist() == (
        [True, False, True] if inverted else [False, True, True]
    )
    shown = np.asarray(open_image(content))[0, :2, 0].tolist()
    assert shown == ([255, 0] if inverted else [0, 255])


def tags(values: dict[int, int]) -> ImageFileDirectory_v2:
    directory = ImageFileDirectory_v2()
    for tag, value in values.items():
        directory[tag] = value
    return directory


@pytest.mark.parametrize(
    "values",
    [
        np.array([[-1, 5]], np.int32),
        np.array([[np.nan, 1.0]], np.float32),
        np.array([[np.inf, 1.0]], np.float32),
        np.array([[-0.5, 1.0]], np.float32),
    ],
)
def test_samples_that_are_no_colours_are_refused(values: np.ndarray) -> None:
    content = stored(Image.fromarray(values), "TIFF")
    with pytest.raises(SampleError, match="negative or no numbers"):
        mask_of(content)
    with pytest.raises(SampleError, match="negative or no numbers"):
        open_image(content)


def test_32_bits_have_no_range_to_show_but_a_black() -> None:
    content = stored(Image.fromarray(np.array([[0, 200]], np.int32)), "TIFF")
    assert mask_of(content)[0].tolist() == [False, True]
    with pytest.raises(SampleError, match="no stated range"):
        open_image(content)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_once(kind: str, orientation: int) -> None:
    """Size from the header, image and mask agree, and agree with what PNG shows."""
    drawn = np.zeros((16, 32), np.uint8)
    drawn[:8, :16] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture = Image.fromarray(drawn)
    content = stored(picture, kind, exif=exif)
    shown, mask = np.asarray(open_image(content)), mask_of(content)
    assert image_size(content) == (shown.shape[1], shown.shape[0]) == mask.shape[::-1]
    turned = np.asarray(open_image(stored(picture, "PNG", exif=exif)))
    assert np.array_equal(shown[..., 0] > 127, turned[..., 0] > 127)
    if kind != "JPEG":
        assert np.array_equal(mask, turned[..., 0] > 0)


@settings(max_examples=10)
@given(MASKS)
def test_an_open_image_is_read_like_its_file(truth: np.ndarray) -> None:
    for name, content in ways(truth):
        if name.startswith(("I as", "F")):
            continue
        with Image.open(io.BytesIO(content)) as image:
            assert np.array_equal(np.asarray(upright_rgb(image)), np.asarray(open_image(content)))


def test_an_open_image_without_a_range_is_refused() -> None:
    with pytest.raises(SampleError, match="mode F can't be read"):
        upright_rgb(Image.fromarray(np.ones((2, 2), np.float32)))
