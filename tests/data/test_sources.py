"""Data are opened by a short text; the embedded scenes are written once and read as COCO."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from retinoscope.data import (
    EMBEDDED_FILTER,
    arranged_scenes,
    embedded_scenes,
    load_image,
    object_mask,
    open_data,
    select,
)
from retinoscope.data.content import UNREADABLE, content_hashes
from retinoscope.data.fingerprint import fingerprint
from retinoscope.data.images import open_image
from retinoscope.errors import DataError, SampleError
from tests.data.coco_folder import CocoFolder, square


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_coco_folder_and_a_plain_folder_are_opened(tmp_path: Path) -> None:
    folder = CocoFolder(tmp_path / "a:b")
    folder.image(3, Image.new("RGB", (60, 60)))
    folder.object(1, 3, square(0, 0, 40))
    root = folder.write()
    opened = open_data(f"coco:{root}")
    assert [sample.image_id for sample in opened.samples] == [3]
    assert open_data(f"coco:{folder.instances}") == opened
    assert len(open_data(f"folder:{root}").samples) == 1


@pytest.mark.parametrize("spec", ["", "coco", "coco:", "folder:", "imagenet:here", "/data/coco"])
def test_an_unknown_text_lists_what_is_possible(spec: str) -> None:
    with pytest.raises(DataError, match=r"embedded:COUNT.*coco:PATH.*folder:PATH"):
        open_data(spec)


@pytest.mark.parametrize("count", ["0", "-3", "many", "1.5"])
def test_a_wrong_count_is_refused(count: str) -> None:
    with pytest.raises(DataError, match="whole number"):
        open_data(f"embedded:{count}")


def test_embedded_scenes_are_written_once_and_stay_the_same(cache: Path) -> None:
    first = open_data("embedded:6")
    assert len(first.samples) == 6
    assert first.root.is_relative_to(cache)
    written = {path: path.stat().st_mtime_ns for path in first.root.rglob("*")}
    assert embedded_scenes(6) == first
    assert {path: path.stat().st_mtime_ns for path in first.root.rglob("*")} == written
    others = [embedded_scenes(6, seed=1), embedded_scenes(6, sprites="heldout")]
    assert len({fingerprint(first), *(fingerprint(other) for other in others)}) == 3


def test_embedded_scenes_are_whole_samples(cache: Path) -> None:
    dataset = embedded_scenes(20)
    for sample in dataset.samples:
        assert load_image(sample).size == (sample.width, sample.height)
        assert sample.questions
        known = {item.object_id for item in sample.annotations}
        assert all(asked.object_id in known | {None} for asked in sample.questions)
        for item in sample.annotations:
            assert object_mask(sample, item).sum() == item.area
    assert select(dataset, EMBEDDED_FILTER).kept >= 10


def test_arranged_scenes_are_opened_by_their_kind(cache: Path) -> None:
    first = open_data("arranged:rows:3")
    assert first.name == "arranged rows train x3 seed 0"
    assert arranged_scenes("rows", 3).samples == first.samples
    assert any(question.steps for question in first.samples[0].questions)
    assert arranged_scenes("rows", 3, seed=1).samples != first.samples
    with pytest.raises(DataError, match="kind 'pile' is unknown"):
        open_data("arranged:pile:3")
    with pytest.raises(DataError, match="whole number"):
        open_data("arranged:rows:many")


def test_an_unwritable_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="XDG_CACHE_HOME"):
        embedded_scenes(2)


@pytest.mark.parametrize("count", ["0", "99999999999999999999", "9" * 5000, "-1", "x"])
def test_a_count_of_scenes_that_nobody_means_is_refused(count: str) -> None:
    with pytest.raises(DataError, match="whole number from 1"):
        open_data(f"embedded:{count}")


def test_a_pipe_among_images_is_refused_and_never_read(tmp_path: Path) -> None:
    pipe = tmp_path / "x.png"
    os.mkfifo(pipe)
    with pytest.raises(SampleError, match="a pipe or a device"):
        open_image(pipe)
    assert content_hashes([pipe]) == {pipe: UNREADABLE}


def test_processes_that_want_the_same_scenes_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    code = "from retinoscope.data import embedded_scenes; print(len(embedded_scenes(3).samples))"
    command = [sys.executable, "-c", code]
    surroundings = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    asked = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings
        )
        for _ in range(3)
    ]
    for one in asked:
        said, error = one.communicate()
        assert (one.returncode, said, error) == (0, "3\n", "")
