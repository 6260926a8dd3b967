"""The mean of a data set's images: streamed, resumable, cached, and honest about what it lacks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from retinoscope.data import Sample, read_folder
from retinoscope.errors import DataError, ModelError
from retinoscope.models import load
from retinoscope.runs import Silent, mean_groups
from retinoscope.runs.mean import mean_dataset, measured_mean, with_mean

IMAGES, GROUP = 9, 2


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load(tiny.save(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images in two folders, one of them no image and one cut short; a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mean_groups, "GROUP", GROUP)
    drawn = np.random.default_rng(0)
    root = tmp_path / "pictures"
    for index in range(IMAGES):
        path = root / f"n{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn.integers(0, 256, (60, 70, 3), dtype=np.uint8)).save(path)
    (root / "n0" / "none.jpg").write_bytes(b"no image")
    whole = (root / "n1" / "1.png").read_bytes()
    (root / "n1" / "short.png").write_bytes(whole[: len(whole) // 2])
    return root


class Watch(Silent):
    """Remembers every step, and presses Ctrl-C at one."""

    def __init__(self, stop: int = -1) -> None:
        self.steps: list[int] = []
        self.total, self.stop = 0, stop

    def stage(self, name: str, steps: int) -> None:
        self.total = steps

    def step(self, done: int) -> None:
        self.steps.append(done)
        if done == self.stop:
            raise KeyboardInterrupt


@pytest.mark.parametrize("per_position", [False, True])
@pytest.mark.parametrize("stop", [2, 6])
def test_an_interrupted_mean_goes_on_and_is_the_same(
    checkpoint, folder, monkeypatch, tmp_path, per_position, stop
):
    dataset = read_folder(folder)
    whole = measured_mean(checkpoint, dataset, None, Silent(), per_position=per_position)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with pytest.raises(KeyboardInterrupt):
        measured_mean(checkpoint, dataset, None, Watch(stop), per_position=per_position)
    second = Watch()
    again = measured_mean(checkpoint, dataset, None, second, per_position=per_position)
    assert torch.equal(again.value, whole.value)
    assert torch.equal(again.standard_error, whole.standard_error)
    assert (again.images, again.tokens, again.skipped) == (
        whole.images,
        whole.tokens,
        whole.skipped,
    )
    # Nothing that the first sitting went through is looked at again.
    assert second.steps == [*range(stop, second.total, GROUP), second.total]
    assert [path.name for path in (tmp_path / "other").rglob("*.sums*")] == []


def test_what_cannot_be_read_is_left_out_and_told(checkpoint, folder):
    mean = measured_mean(checkpoint, read_folder(folder), None, Silent())
    assert mean.images == IMAGES
    assert sorted(Path(reason.split(":")[0]).name for reason in mean.skipped) == [
        "none.jpg",
        "short.png",
    ]


def test_a_mean_is_measured_once_for_a_model_and_a_folder(checkpoint, folder, monkeypatch):
    first = measured_mean(checkpoint, read_folder(folder), None, Silent())

    def refuse(*_):
        raise AssertionError("an image was looked at again")

    monkeypatch.setattr(mean_groups, "visual_tokens_of", refuse)
    assert torch.equal(
        measured_mean(checkpoint, read_folder(folder), None, Silent()).value, first.value
    )
    others = [
        {"count": 3},
        {"per_position": True},
        {"checkpoint": replace(checkpoint, files={"model.safetensors": "another"})},
    ]
    for change in others:
        given = {"checkpoint": checkpoint, "count": None, "per_position": False} | change
        with pytest.raises(AssertionError, match="looked at again"):
            measured_mean(
                given["checkpoint"],
                read_folder(folder),
                given["count"],
                Silent(),
                per_position=given["per_position"],
            )
    (folder / "n0" / "0.png").rename(folder / "n0" / "renamed.png")
    with pytest.raises(AssertionError, match="looked at again"):
        measured_mean(checkpoint, read_folder(folder), None, Silent())


def test_fewer_images_are_a_fixed_choice_from_everywhere(checkpoint, folder):
    dataset = read_folder(folder)
    some, again = (measured_mean(checkpoint, dataset, 4, Silent()) for _ in range(2))
    assert some.images + len(some.skipped) - len(dataset.skipped) == 4
    assert torch.equal(some.value, again.value)


def test_a_path_is_a_folder_of_images(folder):
    assert mean_dataset("coco:anywhere", str(folder), 4, None) == read_folder(folder)
    assert mean_dataset("coco:anywhere", f"folder:{folder}", 4, None) == read_folder(folder)
    with pytest.raises(DataError, match="gone: no such folder"):
        mean_dataset("coco:anywhere", str(folder / "gone"), 4, None)


def test_a_folder_without_a_usable_image_is_refused(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "pictures"
    root.mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    Image.fromarray(picture).save(root / "short.png")
    whole = (root / "short.png").read_bytes()
    (root / "short.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"none could be used.*short\.png"):
        measured_mean(checkpoint, read_folder(root), None, Silent())


def test_the_model_gets_the_mean(checkpoint, folder):
    ready, mean = with_mean(checkpoint, read_folder(folder), None, Silent())
    assert ready.mean is not None
    assert torch.equal(ready.mean, mean.value)


def test_a_mean_belongs_to_what_its_images_show(checkpoint, folder):
    """Not to their names, sizes and times: other pixels in a file of the same size count."""
    path = folder / "n0" / "0.png"
    picture = Image.open(path).convert("RGB")
    path.unlink()
    path = path.with_suffix(".bmp")
    picture.save(path)
    first, times = measured_mean(checkpoint, read_folder(folder), None, Silent()), path.stat()
    Image.fromarray(255 - np.asarray(picture)).save(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size
    assert not torch.equal(
        measured_mean(checkpoint, read_folder(folder), None, Silent()).value, first.value
    )


def test_a_mean_belongs_to_the_way_the_weights_are_quantised(checkpoint, folder, monkeypatch):
    first = measured_mean(checkpoint, read_folder(folder), 2, Silent())
    monkeypatch.setattr(
        mean_groups, "visual_tokens_of", lambda *_: iter([torch.ones(3, tiny.WIDTH)])
    )
    assert torch.equal(
        measured_mean(checkpoint, read_folder(folder), 2, Silent()).value, first.value
    )
    config = checkpoint.model.config
    monkeypatch.setattr(config, "quantization_config", {"bits": 4}, raising=False)
    assert torch.equal(
        measured_mean(checkpoint, read_folder(folder), 2, Silent()).value, torch.ones(tiny.WIDTH)
    )


def test_files_that_are_no_image_are_told_of_a_known_mean_too(checkpoint, folder):
    first = measured_mean(checkpoint, read_folder(folder), None, Silent())
    (folder / "n1" / "another.jpg").write_bytes(b"no image")
    again = measured_mean(checkpoint, read_folder(folder), None, Silent())
    assert torch.equal(first.value, again.value)
    assert len(again.skipped) == len(first.skipped) + 1


@pytest.mark.parametrize("what", ["mean", "sums"])
def test_a_damaged_cache_is_told_of_and_measured_again(checkpoint, folder, tmp_path, what):
    class Notes(Watch):
        told = ""

        def note(self, text: str) -> None:
            self.told += text

    whole = measured_mean(checkpoint, read_folder(folder), None, Silent())
    (path,) = (tmp_path / "cache").rglob("means/*.safetensors")
    if what == "sums":
        path.unlink()
        with pytest.raises(KeyboardInterrupt):
            measured_mean(checkpoint, read_folder(folder), None, Watch(4))
        (path,) = (tmp_path / "cache").rglob("means/*.sums.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    notes = Notes()
    again = measured_mean(checkpoint, read_folder(folder), None, notes)
    assert str(path) in notes.told
    assert notes.steps[0] == 0
    assert torch.equal(again.value, whole.value)


def test_several_that_measure_one_mean_wait_for_the_first(checkpoint, folder, monkeypatch):
    looked: list[Sample] = []
    plain = mean_groups.load_image
    monkeypatch.setattr(
        mean_groups, "load_image", lambda sample: (looked.append(sample), plain(sample))[1]
    )
    with ThreadPoolExecutor(6) as pool:
        asked = [
            pool.submit(measured_mean, checkpoint, read_folder(folder), None, Silent())
            for _ in range(6)
        ]
        first, *others = (one.result(60) for one in asked)
    assert all(torch.equal(one.value, first.value) for one in others)
    assert len(looked) == len(read_folder(folder).samples)
