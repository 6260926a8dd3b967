"""Files that a browser may send, and files that it may not."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from retinoscope.app.pictures import plain_name


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_images_are_taken_and_shown_from_their_pixels(browser, encoded, kind):
    data = encoded(kind)
    reply = browser.upload(data, "a photo.xyz")
    assert reply.status_code == 200, reply.text
    assert reply.json()["title"] == "a photo.xyz"
    assert reply.json()["size"] == [60, 50]
    shown = browser.client.get(f"/api/images/{reply.json()['key']}")
    assert shown.headers["content-type"] == "image/png"
    pixels = np.asarray(Image.open(io.BytesIO(shown.content)))
    assert (pixels == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()


@pytest.mark.parametrize("options", [{"progressive": True}, {"comment": b"\xff\xd9"}])
def test_a_jpegs_end_is_found_by_its_structure(browser, encoded, options):
    assert browser.upload(encoded("JPEG", **options)).status_code == 200


def test_a_jpeg_may_be_followed_by_its_preview_and_by_zeros(browser, encoded):
    assert browser.upload(encoded("JPEG") + encoded("JPEG", (20, 20))).status_code == 200
    assert browser.upload(encoded("JPEG") + bytes(100)).status_code == 200


def test_an_animations_first_frame_is_taken(browser, encoded):
    frame = Image.open(io.BytesIO(encoded()))
    data = encoded("GIF", save_all=True, append_images=[frame.rotate(90)])
    assert browser.upload(data).json()["size"] == [60, 50]


def test_an_upload_is_looked_at(browser, encoded):
    key = browser.upload(encoded()).json()["key"]
    (looked,) = browser.result("look", images=[key])["images"]
    assert looked["size"] == [60, 50]
    assert len(looked["boxes"]) == len(looked["cells"]) == 16


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a.html", "<script>alert(1)</script>")
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("tail", [b"<script>alert(1)</script>", b"%PDF-1.7\n", archive()])
def test_a_file_that_is_something_else_as_well_is_refused(browser, encoded, kind, tail):
    reply = browser.upload(encoded(kind) + tail)
    assert reply.status_code == 422
    assert "follow the image" in reply.json()["message"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_file_is_refused(browser, encoded, kind, share):
    data = encoded(kind)
    reply = browser.upload(data[: int(len(data) * share)])
    assert reply.status_code == 422
    assert "truncated" in reply.json()["message"]


@pytest.mark.parametrize(
    "data",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg/>',
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"RIFF\x10\0\0\0WAVEfmt ",
        archive(),
        b"",
        b"\0" * 64,
    ],
)
def test_what_is_no_raster_image_is_refused(browser, data):
    reply = browser.upload(data, "x.png")
    assert reply.status_code == 422
    assert reply.json()["message"].startswith("x.png: ")
    assert "PNG, JPEG" in reply.json()["message"]


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that decodes to very many."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * min(height, 100)), 9)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [201, 10_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(browser, side):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        reply = browser.upload(bomb(side, side))
    assert reply.status_code == 422
    assert "pixels" in reply.json()["message"]


def test_a_file_over_the_limit_is_refused_by_its_declared_and_by_its_real_length(browser):
    assert browser.upload(bytes(200_001)).status_code == 413

    def undeclared():
        for _ in range(5):
            yield bytes(50_000)

    reply = browser.client.post("/api/images", content=undeclared())
    assert reply.status_code == 413
    assert "MB" in reply.json()["message"]


def test_only_the_last_uploads_are_kept(browser, encoded):
    keys = [browser.upload(encoded(size=(40 + i, 40))).json()["key"] for i in range(3)]
    found = [browser.client.get(f"/api/images/{key}").status_code for key in keys]
    assert found == [422, 200, 200]
    event = browser.ask("look", images=keys[:1])
    assert event["kind"] == "SampleError"
    assert "Drop the same file in again" in event["message"]


@pytest.mark.parametrize("key", ["..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "nothing", "%00"])
def test_no_path_of_the_clients_is_opened(browser, monkeypatch, key):
    opened: list[object] = []
    monkeypatch.setattr("builtins.open", lambda *given, **_: opened.append(given))
    monkeypatch.setattr("io.open", lambda *given, **_: opened.append(given))
    replies = [browser.client.get(f"/{place}/{key}") for place in ("api/images", "static")]
    assert all(reply.status_code in (404, 422) for reply in replies)
    assert not opened


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\dog.jpg", "dog.jpg"),
        ("a\u202egnp.exe\n", "a_gnp.exe_"),
        ("<b>.png", "_b_.png"),
        ("..", "image"),
        ("Käfer (2).png", "Käfer (2).png"),
    ],
)
def test_a_files_name_is_only_a_name(title, plain):
    assert plain_name(title) == plain
