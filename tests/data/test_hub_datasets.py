"""Hugging Face datasets are read by the names of their columns, from disk, row by row."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retinoscope.data import ANY_SIZE, load_image, object_mask, open_data, select
from retinoscope.data.fingerprint import fingerprint
from retinoscope.errors import DataError, SampleError

datasets = pytest.importorskip("datasets")

WIDTH, HEIGHT = 40, 30


def encoded(value: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> dict[str, Any]:
    """One image as its file's content."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def column(values: list[dict[str, Any]]) -> Any:
    """Rows that hold encoded images."""
    return datasets.Dataset.from_list(values).cast_column("image", datasets.Image())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three rows with boxes, polygons and questions; objects as a list of records."""
    square = [[2, 3, 12, 3, 12, 13, 2, 13]]
    rows = [
        {
            "image": encoded(10),
            "objects": [
                {"bbox": [2.0, 3.0, 10.0, 10.0], "category": "dog", "segmentation": square},
                {"bbox": [20.0, 10.0, 5.0, 4.0], "category": "traffic_light", "segmentation": None},
            ],
            "question": ["What is at the left?"],
        },
        {"image": encoded(20), "objects": [], "question": None},
        {
            "image": encoded(30, (WIDTH, WIDTH)),
            "objects": [{"bbox": [0.0, 0.0, 40.0, 40.0], "category": "cat", "segmentation": None}],
            "question": ["", "What is it?"],
        },
    ]
    column(rows).save_to_disk(tmp_path / "set")
    return tmp_path / "set"


def test_columns_become_samples(folder: Path) -> None:
    dataset = open_data(f"datasets:{folder}")
    assert [sample.image_id for sample in dataset.samples] == [0, 1, 2]
    assert [(s.width, s.height) for s in dataset.samples] == [(40, 30), (40, 30), (40, 40)]
    assert dataset.categories == ("cat", "dog", "traffic light")
    first, _, last = dataset.samples
    assert [item.class_name for item in first.annotations] == ["dog", "traffic light"]
    assert object_mask(first, first.annotations[0])[3:13, 2:12].all()
    assert object_mask(first, first.annotations[1]).sum() == 20
    assert [question.text for question in first.questions] == ["What is at the left?"]
    assert [question.text for question in last.questions] == ["What is it?"]
    assert np.asarray(load_image(last))[0, 0].tolist() == [30, 0, 0]
    assert len({item.object_id for s in dataset.samples for item in s.annotations}) == 3
    assert select(dataset, ANY_SIZE).kept == 2


def test_records_of_lists_and_labels_and_other_names(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "things": {
                "where": datasets.List(datasets.List(datasets.Value("float32"))),
                "what": datasets.List(datasets.ClassLabel(names=["sky", "sea", "boat"])),
            },
            "width": datasets.Value("int64"),
            "height": datasets.Value("int64"),
            "asked": datasets.Value("string"),
        }
    )
    row = {
        "picture": encoded(9),
        "things": {"where": [[1, 2, 11, 12], [30, 20, 40, 30]], "what": [2, 0]},
        "width": WIDTH,
        "height": HEIGHT,
        "asked": "What floats?",
    }
    made = datasets.DatasetDict(
        {name: datasets.Dataset.from_list([row], features=features) for name in ("train", "test")}
    )
    made.save_to_disk(tmp_path / "set")
    text = (
        f"datasets:{tmp_path / 'set'}?image=picture&objects=things&bbox=where&category=what"
        "&box=xyxy&question=asked"
    )
    with pytest.raises(DataError, match="Choose one of: train, test"):
        open_data(text)
    dataset = open_data(text, split="test")
    assert dataset.categories == ("sky", "sea", "boat")
    (sample,) = dataset.samples
    assert [(item.class_name, item.box) for item in sample.annotations] == [
        ("boat", (1, 2, 10, 10)),
        ("sky", (30, 20, 10, 10)),
    ]
    assert sample.questions[0].text == "What floats?"
    assert load_image(sample).size == (WIDTH, HEIGHT)


def test_no_image_is_held_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexing and loading never keep more than one image: each use reads the row again."""
    dataset = open_data(f"datasets:{folder}")
    sample = dataset.samples[0]
    assert sample.read is not None
    first, second = sample.read(), sample.read()
    assert first == second
    assert first is not second


def test_bad_rows_and_objects_cost_themselves_alone(tmp_path: Path) -> None:
    good = {"bbox": [1.0, 1.0, 9.0, 9.0], "category": "dog"}
    rows = [
        {"image": encoded(1), "objects": [good, good | {"bbox": [30.0, 0.0, 20.0, 5.0]}]},
        {"image": {"bytes": b"no image", "path": None}, "objects": [good]},
        {"image": None, "objects": [good]},
        {"image": encoded(5), "objects": [good | {"bbox": [1.0, 2.0]}, good | {"category": None}]},
    ]
    gone = tmp_path / "gone.png"
    gone.write_bytes(b"here while the data set is written")
    column(rows).save_to_disk(tmp_path / "set")
    gone.unlink()
    dataset = open_data(f"datasets:{tmp_path / 'set'}")
    assert [(s.image_id, len(s.annotations)) for s in dataset.samples] == [(0, 1), (3, 0)]
    reasons = "\n".join(dataset.skipped)
    assert len(dataset.skipped) == 5
    for row, what in [(0, "not inside"), (1, "not an image"), (2, "no image"), (3, "four numbers")]:
        assert any(f"row {row}" in line and what in line for line in dataset.skipped), reasons


def test_sizes_that_lie_cost_one_sample(tmp_path: Path) -> None:
    column([{"image": encoded(1), "width": 7, "height": 7}]).save_to_disk(tmp_path / "set")
    (sample,) = open_data(f"datasets:{tmp_path / 'set'}").samples
    with pytest.raises(SampleError, match=r"row 0.*40 x 30.*7 x 7"):
        load_image(sample)


def test_the_fingerprint_follows_the_annotations(folder: Path, tmp_path: Path) -> None:
    before = fingerprint(open_data(f"datasets:{folder}"))
    assert fingerprint(open_data(f"datasets:{folder}")) == before
    changed = datasets.load_from_disk(str(folder)).map(lambda row: {"question": ["What?"]})
    changed.save_to_disk(tmp_path / "changed")
    assert fingerprint(open_data(f"datasets:{tmp_path / 'changed'}")) != before


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("?image=photo", "no column photo. It has image, objects, question"),
        ("?image=question", "column question holds List, not images"),
        ("?objects=things", "no column things"),
        ("?box=corners", "box=corners is not known"),
        ("?colour=red", "colour is not known"),
    ],
)
def test_a_wrong_choice_is_named(folder: Path, query: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        open_data(f"datasets:{folder}{query}")


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be opened"):
        open_data(f"datasets:{tmp_path}")
    with pytest.raises(DataError, match="can't be opened"):
        open_data("datasets:no-such-user/no-such-set")


def test_the_missing_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"retinoscope\[datasets\]"):
        open_data(f"datasets:{folder}")
