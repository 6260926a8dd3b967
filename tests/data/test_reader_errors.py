"""What is missing or odd in a benchmark's files is named; what all readers share."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path

import pytest

from retinoscope.data import open_data, sources
from retinoscope.data.fingerprint import fingerprint
from retinoscope.errors import DataError
from tests.data.formats_folder import FILES, IMAGES, Make, edit, opened, written


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Put a format's files and small images into a folder of its own."""
    return lambda kind: written(kind, tmp_path / kind)


MISSING = [
    ("gqa", FILES["gqa"], "imageId"),
    ("gqa", FILES["gqa"], "answer"),
    ("gqa", FILES["gqa"], "operation"),
    ("gqa", "val_sceneGraphs.json", "width"),
    ("gqa", "val_sceneGraphs.json", "h"),
    ("clevr", FILES["clevr"], "program"),
    ("clevr", FILES["clevr"], "answer"),
    ("clevr", "scenes/CLEVR_val_scenes.json", "pixel_coords"),
    ("clevr", "scenes/CLEVR_val_scenes.json", "relationships"),
    ("vsr", FILES["vsr"], "caption"),
    ("vsr", FILES["vsr"], "label"),
    ("whatsup", FILES["whatsup"], "caption_options"),
    ("whatsup", FILES["whatsup"], "image_path"),
    ("pope", FILES["pope"], "label"),
    ("pope", FILES["pope"], "image"),
    ("tallyqa", FILES["tallyqa"], "answer"),
    ("tallyqa", FILES["tallyqa"], "question"),
    ("panoptic", FILES["panoptic"], "segments_info"),
    ("panoptic", FILES["panoptic"], "isthing"),
    ("panoptic", FILES["panoptic"], "bbox"),
]


@pytest.mark.parametrize(("kind", "file", "field"), MISSING)
def test_a_missing_field_is_named_with_its_file(
    kind: str, file: str, field: str, make: Make
) -> None:
    root = make(kind)
    edit(root / file, f'"{field}":', f'"no_{field}":')
    with pytest.raises(DataError, match=rf"{re.escape(str(root / file))}: .*'{field}'"):
        opened(kind, root)


WRONG = [
    ("gqa", FILES["gqa"], '"imageId": "2405722"', '"imageId": "12/34"'),
    ("gqa", "val_sceneGraphs.json", '"x": 30', '"x": "30"'),
    ("gqa", FILES["gqa"], '"dependencies": [0]', '"dependencies": [9]'),
    ("vsr", FILES["vsr"], '"label": "0"', '"label": 2'),
    ("pope", FILES["pope"], '"yes"', '"perhaps"'),
    ("pope", FILES["pope"], '"COCO_val2014_000000310196.jpg"', '"../x.jpg"'),
    ("tallyqa", FILES["tallyqa"], '"answer": 3', '"answer": "three"'),
    ("whatsup", FILES["whatsup"], '["A mug on a book", "A mug under a book", ', "[1, "),
    ("clevr", "scenes/CLEVR_val_scenes.json", '"size": "large"', '"size": "huge"'),
    ("clevr", "scenes/CLEVR_val_scenes.json", "[30, 40, 10.0]", "[30, 40]"),
    ("panoptic", FILES["panoptic"], '"category_id": 18', '"category_id": 19'),
    ("panoptic", FILES["panoptic"], '"image_id": 285', '"image_id": 286'),
    ("panoptic", FILES["panoptic"], "[5, 10, 10, 20]", "[5, 10]"),
]


@pytest.mark.parametrize(("kind", "file", "old", "new"), WRONG)
def test_an_odd_value_is_refused(kind: str, file: str, old: str, new: str, make: Make) -> None:
    root = make(kind)
    edit(root / file, old, new)
    with pytest.raises(DataError, match=re.escape(str(root))):
        opened(kind, root)


@pytest.mark.parametrize("kind", FILES)
def test_broken_and_absent_files_are_refused(kind: str, make: Make, tmp_path: Path) -> None:
    root = make(kind)
    file = root / FILES[kind]
    for name in IMAGES[kind]:
        (root / name).unlink()
    with pytest.raises(DataError, match="no such image"):
        opened(kind, root)
    file.write_text('{"images": [')
    with pytest.raises(DataError, match="JSON"):
        opened(kind, root)
    with pytest.raises(DataError, match="no such file"):
        open_data(f"{kind}:{tmp_path / 'nowhere'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="Expected a folder"):
        open_data(f"{kind}:{tmp_path / 'empty'}")


SAID = [
    ("gqa", FILES["gqa"], "13-dog_color"),
    ("gqa", "val_sceneGraphs.json", "small"),
    ("clevr", "scenes/CLEVR_val_scenes.json", "rubber"),
    ("vsr", FILES["vsr"], "The teddy bear"),
    ("whatsup", FILES["whatsup"], "under"),
    ("pope", FILES["pope"], "snowboard"),
    ("tallyqa", FILES["tallyqa"], "imported_genome"),
    ("panoptic", FILES["panoptic"], "dog"),
]


@pytest.mark.parametrize(("kind", "file", "said"), SAID)
def test_what_is_said_is_in_the_fingerprint_and_travels_to_workers(
    kind: str, file: str, said: str, make: Make
) -> None:
    root = make(kind)
    dataset = opened(kind, root)
    assert pickle.loads(pickle.dumps(dataset)) == dataset
    assert open_data(f"{kind}:{root / FILES[kind]}") == dataset
    before = fingerprint(dataset)
    assert fingerprint(opened(kind, root)) == before
    edit(root / file, said, f"{said}s")
    assert fingerprint(opened(kind, root)) != before


def test_several_files_ask_for_a_split(make: Make) -> None:
    root = make("vsr")
    shutil.copy(root / "test.jsonl", root / "dev.jsonl")
    with pytest.raises(DataError, match=r"several files: dev\.jsonl, test\.jsonl"):
        open_data(f"vsr:{root}")
    assert open_data(f"vsr:{root}", split="dev").name == "vsr dev"
    with pytest.raises(DataError, match="no split 'train'"):
        open_data(f"vsr:{root}", split="train")


def test_every_source_is_named_by_the_error_and_by_the_documents() -> None:
    with pytest.raises(DataError) as error:
        open_data("imagenet:here")
    documents = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
    for kind, source in sources().items():
        assert source.usage in str(error.value)
        assert f"`{kind}:" in documents


@pytest.mark.parametrize("wrong", ["x", [["x"]], [[99]], [[True]], [1]])
def test_a_relation_between_no_objects_is_refused(make: Make, wrong: object) -> None:
    root = make("clevr")
    path = next((root / "scenes").glob("*.json"))
    values = json.loads(path.read_text())
    name = next(one for one in ("relationships", "relations") if one in values["scenes"][0])
    values["scenes"][0][name]["left"] = wrong
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="left"):
        open_data(f"clevr:{root}")
