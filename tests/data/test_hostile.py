"""Files that somebody made to do harm, or that are merely odd: a clear error, and never more."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retinoscope.data import object_mask, open_data, open_image
from retinoscope.data.folder import read_folder
from retinoscope.data.images import FORMATS
from retinoscope.errors import DataError, RetinoscopeError, SampleError
from tests.damage import damaged


def _coco(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A COCO folder of one image and one object, changed in one respect."""
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(folder / "images" / "a.png")
    content: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 20}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "area": 100,
                "bbox": [0, 0, 10, 10],
                "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]],
            }
        ],
    }
    change(content)
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("wild", [-1, 2**63, 10**400], ids=["negative", "2^63", "400 digits"])
@pytest.mark.parametrize("field", ["images", "annotations", "categories"])
def test_ids_that_no_table_holds_are_refused(tmp_path: Path, field: str, wild: int) -> None:
    def change(content: dict[str, Any]) -> None:
        content[field][0]["id"] = wild

    with pytest.raises(DataError, match=r"instances\.json"):
        open_data(f"coco:{_coco(tmp_path / 'coco', change)}")


@pytest.mark.parametrize("name", ["", " \t", "\ud800"], ids=["empty", "blank", "surrogate"])
def test_names_that_name_nothing_are_refused(tmp_path: Path, name: str) -> None:
    def change(content: dict[str, Any]) -> None:
        content["categories"][0]["name"] = name

    with pytest.raises(DataError, match=r"name|JSON"):
        open_data(f"coco:{_coco(tmp_path / 'coco', change)}")
    (tmp_path / "folder").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "folder" / "a.png")
    rows = [{"image": "a.png", "class": name, "x": 0, "y": 0, "width": 5, "height": 5}]
    (tmp_path / "folder" / "objects.json").write_text(json.dumps(rows))
    if name.strip() or name == "":
        # An empty class is one that nothing names.
        return
    with pytest.raises(DataError, match="blank"):
        read_folder(tmp_path / "folder")


@pytest.mark.parametrize(
    "name",
    ["a.png/b", "a\0.png", "x" * 300 + ".png", "../a.png", "", "/etc/passwd"],
    ids=["below a file", "NUL", "too long", "above", "empty", "absolute"],
)
def test_file_names_that_no_file_has_are_told(tmp_path: Path, name: str) -> None:
    def change(content: dict[str, Any]) -> None:
        content["images"].append({"id": 2, "file_name": name, "width": 20, "height": 20})

    try:
        dataset = open_data(f"coco:{_coco(tmp_path / 'coco', change)}")
    except DataError as error:
        assert "file_name" in str(error)
    else:
        with pytest.raises(SampleError):
            open_image(dataset.samples[1].path)


@pytest.mark.parametrize("place", ["instances.json", "questions.json"])
def test_json_that_nests_without_end_is_told(tmp_path: Path, place: str) -> None:
    folder = _coco(tmp_path / "coco", lambda content: None)
    (folder / "annotations" / place).write_text('{"1":' + "[" * 200_000 + "]" * 200_000 + "}")
    with pytest.raises(DataError, match=r"deep|JSON"):
        open_data(f"coco:{folder}")


def test_keys_of_five_thousand_digits_are_told(tmp_path: Path) -> None:
    folder = _coco(tmp_path / "coco", lambda content: None)
    (folder / "annotations" / "questions.json").write_text(json.dumps({"9" * 5000: "What?"}))
    with pytest.raises(DataError, match="image id"):
        open_data(f"coco:{folder}")


@pytest.mark.parametrize(
    "value", [10**400, 1e308, float("nan"), "x", None], ids=["huge", "large", "nan", "text", "null"]
)
def test_coordinates_that_lie_nowhere_cost_their_object(tmp_path: Path, value: Any) -> None:
    def change(content: dict[str, Any]) -> None:
        content["annotations"][0]["segmentation"] = [[0, 0, value, 0, 10, 10]]

    try:
        (sample,) = open_data(f"coco:{_coco(tmp_path / 'coco', change)}").samples
    except DataError:
        return
    with pytest.raises(SampleError):
        object_mask(sample, sample.annotations[0])


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind in Image.SAVE])
def test_damaged_images_cost_themselves_alone(kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    content = stream.getvalue()
    for number, other in enumerate(damaged(content, seed=1, step=max(1, len(content) // 60))):
        try:
            open_image(other, name=f"image {number}")
        except SampleError:
            continue


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    private, shown = tmp_path / "private.png", tmp_path / "shown"
    shown.mkdir()
    Image.new("RGB", (20, 20), "red").save(private)
    Image.new("RGB", (20, 20), "blue").save(shown / "a.png")
    (shown / "b.png").symlink_to(private)
    (shown / "c.png").symlink_to(shown / "a.png")
    assert [sample.path.name for sample in read_folder(shown).samples] == ["a.png", "c.png"]
    (shown / "a.png").unlink()
    (shown / "c.png").unlink()
    with pytest.raises(DataError, match="Links"):
        read_folder(shown)


def test_a_name_that_is_not_utf8_can_be_printed(tmp_path: Path) -> None:
    name = b"broken-\xff.png".decode("utf-8", "surrogateescape")
    (tmp_path / name).write_bytes(b"no image")
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    (reason,) = read_folder(tmp_path).skipped
    assert "broken-" in reason
    assert reason.encode("utf-8")
    with pytest.raises(RetinoscopeError) as caught:
        open_image(tmp_path / name)
    assert str(caught.value).encode("utf-8")
