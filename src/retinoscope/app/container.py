"""Where an image file ends, by its own format: what lies behind makes it a file of two kinds."""

from __future__ import annotations

from collections.abc import Callable

from retinoscope.errors import SampleError

ACCEPTED = "PNG, JPEG, WebP, GIF or BMP"


def check_container(data: bytes, name: str) -> None:
    """Refuse a file that is no known raster image, or that goes on behind the image's end.

    A file that is an image and something else at once (a page, a script, an archive) keeps the
    something else behind the image's end. The pixels alone are kept in any case; this says
    plainly what is wrong with the file.

    Args:
        data: the whole file.
        name: how an error calls it.

    Raises:
        SampleError: another format, cut off before its end, or more data behind the end.
    """
    walker = next((walk for magic, walk in _WALKERS if data.startswith(magic)), None)
    if walker is None or (data.startswith(b"RIFF") and data[8:12] != b"WEBP"):
        kind = "an SVG or a page" if data.lstrip()[:1] == b"<" else "no image of a known kind"
        raise SampleError(f"{name}: this is {kind}. Give a {ACCEPTED} file; convert it if needed.")
    try:
        end = walker(data)
    except IndexError:
        end = len(data) + 1
    if end > len(data):
        raise SampleError(
            f"{name}: the file is truncated: it ends before the image does. Fetch it again."
        )
    behind = data[end:]
    if behind.strip(b"\0") and not behind.startswith(_JPEG):
        raise SampleError(
            f"{name}: {len(behind)} bytes of something else follow the image. Save a copy of the "
            "picture as a plain PNG or JPEG and give that."
        )


def _number(data: bytes, start: int, size: int, order: str) -> int:
    if start + size > len(data):
        raise IndexError
    return int.from_bytes(data[start : start + size], "big" if order == ">" else "little")


def _png_end(data: bytes) -> int:
    place = 8
    while True:
        end = place + 12 + _number(data, place, 4, ">")
        if data[place + 4 : place + 8] == b"IEND":
            return end
        place = end


def _jpeg_end(data: bytes) -> int:
    place = 2
    while True:
        place = data.find(b"\xff", place)  # passes over entropy-coded data
        if place < 0:
            raise IndexError
        mark = data[place + 1]
        if mark == 0xD9:
            return place + 2
        if mark in (0x00, 0x01, 0xFF) or 0xD0 <= mark <= 0xD8:
            place += 1 if mark == 0xFF else 2
        else:
            place += 2 + _number(data, place + 2, 2, ">")


def _webp_end(data: bytes) -> int:
    size = _number(data, 4, 4, "<")
    return 8 + size + size % 2


def _gif_end(data: bytes) -> int:
    place = 13 + _palette(data[10])
    while data[place] != 0x3B:
        if data[place] == 0x21:
            place += 2
        elif data[place] == 0x2C:
            place += 11 + _palette(data[place + 9])
        else:
            return place  # neither a block nor the end: what follows is something else
        while data[place]:
            place += 1 + data[place]
        place += 1
    return place + 1


def _palette(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _bmp_end(data: bytes) -> int:
    return _number(data, 2, 4, "<") or len(data)


_JPEG = b"\xff\xd8\xff"
"""Cameras put further JPEG pictures (a preview, a depth map) behind the first."""

_WALKERS: tuple[tuple[bytes, Callable[[bytes], int]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png_end),
    (_JPEG, _jpeg_end),
    (b"RIFF", _webp_end),
    (b"GIF87a", _gif_end),
    (b"GIF89a", _gif_end),
    (b"BM", _bmp_end),
)
