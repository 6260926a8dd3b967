"""Every oddity of image files is read as it is meant to be seen, or refused with a reason."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retinoscope.data import Sample, load_image, open_image
from retinoscope.data.images import image_size
from retinoscope.errors import SampleError

ORIENTATION = 0x0112


def halves(mode: str, left: object, right: object) -> Image.Image:
    """A 16 x 8 image with two colours."""
    image = Image.new(mode, (16, 8), left)  # pyright: ignore[reportArgumentType]
    image.paste(right, (8, 0, 16, 8))  # pyright: ignore[reportArgumentType, reportCallIssue]
    return image


def colours(image: Image.Image) -> tuple[object, object]:
    return image.getpixel((1, 1)), image.getpixel((14, 6))


def test_grayscale_and_one_bit_become_rgb(tmp_path: Path) -> None:
    for mode, dark, bright in [("L", 0, 255), ("1", 0, 1)]:
        path = tmp_path / f"{mode}.png"
        halves(mode, dark, bright).save(path)
        image = open_image(path)
        assert image.mode == "RGB"
        assert colours(image) == ((0, 0, 0), (255, 255, 255))


def test_cmyk_is_converted(tmp_path: Path) -> None:
    path = tmp_path / "ink.jpg"
    halves("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)).save(path, quality=95)
    image = open_image(path)
    assert image.mode == "RGB"
    white, black = np.array(image)[4, 2], np.array(image)[4, 13]
    assert white.min() > 240
    assert black.max() < 15


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    clear = tmp_path / "rgba.png"
    halves("RGBA", (255, 0, 0, 0), (255, 0, 0, 255)).save(clear)
    palette = tmp_path / "palette.png"
    indexed = halves("P", 0, 1)
    indexed.putpalette([9, 9, 9, 255, 0, 0])
    indexed.save(palette, transparency=b"\x00\xff")
    gray = tmp_path / "la.png"
    halves("LA", (7, 0), (7, 255)).save(gray)
    for path, solid in [(clear, (255, 0, 0)), (palette, (255, 0, 0)), (gray, (7, 7, 7))]:
        assert colours(open_image(path)) == ((255, 255, 255), solid)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(path)
    read = np.asarray(open_image(path))[..., 0].ravel()
    assert np.abs(read.astype(int) - np.arange(256)).max() <= 1


def test_samples_without_a_range_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    Image.fromarray(np.ones((4, 4), np.float32)).save(path)
    with pytest.raises(SampleError, match=r"float\.tif.*no stated range"):
        open_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    """The upright image has its bright corner where a viewer shows it, and its true size."""
    upright = np.zeros((8, 16), np.uint8)
    upright[:4, :4] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    assert image_size(path) == (16, 8)
    assert np.array_equal(np.asarray(open_image(path))[..., 0], upright)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    first.save(path, save_all=True, append_images=[second])
    assert open_image(path).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "broken|not an image"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "odd.jpg"
    path.write_bytes(content)
    with pytest.raises(SampleError, match=rf"odd\.jpg.*({reason})"):
        open_image(path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's remarks on damaged TIFF tags
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_damaged_file_is_read_or_refused(kind: str) -> None:
    """Cut or flipped anywhere, a file never raises anything but a SampleError."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    whole = buffer.getvalue()
    generator = np.random.default_rng(1)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in generator.integers(0, min(len(whole), 300), 3):
            damaged[place] ^= int(generator.integers(1, 256))
        cut = int(generator.integers(1, len(whole)))
        for content in (bytes(damaged), whole[:cut]):
            try:
                open_image(content, name="upload")
            except SampleError as error:
                assert "upload" in str(error)
                refused += 1
    assert refused > 10


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        SampleError, match=r"gone\.png: there is no such image file. Check the path.$"
    ):
        open_image(tmp_path / "gone.png")


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (100, 50)).save(path)
    with pytest.raises(SampleError, match="100 x 50 pixels, more than the 4999"):
        open_image(path, max_pixels=4999)
    assert open_image(path, max_pixels=5000).size == (100, 50)


def test_a_decompression_bomb_is_refused() -> None:
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    side = (60_000).to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + bytes([8, 2, 0, 0, 0]))
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    with pytest.raises(SampleError, match="Scale the image down"):
        open_image(b"\x89PNG\r\n\x1a\n" + header + body)


def test_an_image_of_another_size_than_its_annotations_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.new("RGB", (16, 8)).save(path)
    assert load_image(Sample(1, path, 16, 8)).size == (16, 8)
    with pytest.raises(SampleError, match="16 x 8 pixels but its annotations are for 8 x 16"):
        load_image(Sample(1, path, 8, 16))
