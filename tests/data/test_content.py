"""A file's identity is its content, whatever its name, size and times."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import platformdirs
import pytest
from PIL import Image

from retinoscope.data import content as module
from retinoscope.data import open_data, read_coco, read_folder, single_image
from retinoscope.data.content import ABSENT, UNREADABLE, content_hashes
from retinoscope.data.fingerprint import fingerprint, image_fingerprint
from tests.data.coco_folder import CocoFolder, square


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(platformdirs.user_cache_dir("retinoscope"))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once."""
    monkeypatch.setattr(module, "SETTLED", -1.0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose bytes are read."""
    found: list[str] = []
    digest = hashlib.file_digest

    def told(file, name):
        found.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", told)
    return found


def recolour(path: Path) -> None:
    """Another image in the file, with the size and time of change of the one before."""
    before = path.stat()
    with Image.open(path) as image:
        other = Image.fromarray(255 - np.asarray(image.convert("RGB")))
    other.save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    files = [tmp_path / f"{index}" / "same name" for index in range(5)]
    for index, path in enumerate(files):
        path.parent.mkdir()
        path.write_bytes(bytes([index]) * 1000)
    found = content_hashes([*files, files[0], tmp_path / "gone", tmp_path])
    assert found[tmp_path / "gone"] == ABSENT
    assert found[tmp_path] == UNREADABLE
    for path in files:
        assert found[path] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_bytes_are_read_once(settled: None, reads: list[str], tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for path in files:
        path.write_bytes(path.name.encode())
    first = content_hashes(files[:2])
    assert content_hashes(files)[files[0]] == first[files[0]]
    assert reads == ["a", "b", "c"]
    files[1].write_bytes(b"another")
    assert content_hashes(files)[files[1]] == hashlib.sha256(b"another").hexdigest()
    assert reads == ["a", "b", "c", "b"]


def test_a_file_of_equal_size_and_time_is_read_again(settled: None, tmp_path: Path) -> None:
    path = tmp_path / "image.bmp"
    Image.new("RGB", (8, 8), "red").save(path)
    before = content_hashes([path])[path]
    recolour(path)
    assert content_hashes([path])[path] != before


def test_a_file_that_has_just_changed_is_not_remembered(reads: list[str], tmp_path: Path) -> None:
    """Two changes within one tick of the file system's clock can't be told by the times."""
    path = tmp_path / "a"
    path.write_bytes(b"a")
    content_hashes([path])
    content_hashes([path])
    assert reads == ["a", "a"]


def test_a_damaged_memory_is_forgotten(settled: None, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a")
    right = content_hashes([path])
    (memory,) = (cache / "contents").iterdir()
    whole = memory.read_bytes()
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1
        memory.write_bytes(broken)
        assert content_hashes([path]) == right
    memory.unlink()
    memory.mkdir()
    assert content_hashes([path]) == right


def folder(root: Path) -> Path:
    root.mkdir()
    for index in range(3):
        Image.new("RGB", (8, 8), (index, 9, 9)).save(root / f"{index}.bmp")
    Image.new("L", (8, 8), 255).save(root / "1.dog.mask.png")
    (root / "masks").mkdir()
    Image.new("RGB", (8, 8), "white").save(root / "masks" / "cat.bmp")
    rows = "image,class,x,y,width,height,mask\n2.bmp,cat,,,,,masks/cat.bmp\n"
    (root / "objects.csv").write_text(rows)
    return root


def coco(root: Path) -> Path:
    made = CocoFolder(root)
    for index in (1, 2):
        made.image(index, Image.new("RGB", (20, 20), (index, 9, 9)))
        made.object(index, index, square(2, 3, 5))
    made.write()
    for path in made.image_folder.iterdir():
        with Image.open(path) as image:
            image.save(path, "BMP")
    return root


@pytest.mark.parametrize(("make", "read"), [(folder, read_folder), (coco, read_coco)])
def test_recoloured_images_are_other_data(
    make: Callable[[Path], Path], read: Callable[[Path], object], settled: None, tmp_path: Path
) -> None:
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    assert fingerprint(read(one)) == fingerprint(read(two))
    for sample in read(two).samples:
        before, images = fingerprint(read(two)), image_fingerprint(read(two).samples)
        recolour_as_bmp(sample.path)
        assert fingerprint(read(two)) != before
        assert image_fingerprint(read(two).samples) != images


def recolour_as_bmp(path: Path) -> None:
    content = path.read_bytes()
    assert content[:2] == b"BM"
    times = path.stat()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_mask_that_a_table_names_counts_by_its_content(tmp_path: Path) -> None:
    root = folder(tmp_path / "one")
    before, images = fingerprint(read_folder(root)), image_fingerprint(read_folder(root).samples)
    with Image.open(root / "masks" / "cat.bmp") as image:
        drawn = image.copy()
    drawn.putpixel((3, 3), (0, 0, 0))
    drawn.save(root / "masks" / "cat.bmp")
    assert fingerprint(read_folder(root)) != before
    assert image_fingerprint(read_folder(root).samples) == images


def test_one_image_counts_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    Image.new("RGB", (8, 8), "red").save(path)
    before = fingerprint(single_image(path))
    assert fingerprint(single_image(path)) == before
    recolour(path)
    assert fingerprint(single_image(path)) != before


def test_images_inside_a_table_count_by_their_content(tmp_path: Path) -> None:
    seen = set()
    for name, colour in [("one", "red"), ("two", "blue"), ("three", "red")]:
        path = tmp_path / f"{name}.bmp"
        Image.new("RGB", (8, 8), colour).save(path)
        rows = [{"image": {"bytes": path.read_bytes(), "path": None}}]
        features = datasets.Features({"image": datasets.Image()})
        table = datasets.Dataset.from_list(rows, features=features)
        table.save_to_disk(tmp_path / name)
        seen.add(fingerprint(open_data(f"datasets:{tmp_path / name}")))
    assert len(seen) == 2
