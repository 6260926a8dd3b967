"""COCO folders with every oddity are indexed, or refused with the file and the field."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from retinoscope.data import load_image, object_mask, read_coco
from retinoscope.data.fingerprint import fingerprint
from retinoscope.errors import DataError, SampleError
from tests.data.coco_folder import CocoFolder, two_images


@pytest.fixture
def folder(tmp_path: Path) -> CocoFolder:
    return two_images(tmp_path / "coco")


def test_everything_listed_is_read(folder: CocoFolder) -> None:
    dataset = read_coco(folder.write())
    assert dataset.categories == ("dog", "traffic light")
    assert [sample.image_id for sample in dataset.samples] == [42, 581929]
    first, second = dataset.samples
    light = first.annotations[0]
    assert (light.class_name, light.area, light.box) == ("traffic light", 25.0, (2, 3, 5, 5))
    assert [item.object_id for item in second.annotations] == [7, 8]
    assert [item.crowd for item in second.annotations] == [True, False]
    assert load_image(first).mode == "RGB"
    assert object_mask(first, light)[3:8, 2:7].all()
    assert [object_mask(second, item).sum() for item in second.annotations] == [50, 16]


def test_masks_agree_with_pycocotools(
    folder: CocoFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = read_coco(folder.write())
    reference: Any = COCO(folder.instances)
    capsys.readouterr()
    for sample in dataset.samples:
        for item in sample.annotations:
            rle = reference.annToRLE(reference.anns[item.object_id])
            assert coco_mask.area(rle) == object_mask(sample, item).sum()


def test_the_same_data_elsewhere_has_the_same_fingerprint(
    folder: CocoFolder, tmp_path: Path
) -> None:
    root = folder.write()
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    before = fingerprint(read_coco(root))
    assert fingerprint(read_coco(moved)) == before
    (moved / "annotations" / "questions.json").write_text('{"42": "What is there?"}')
    assert fingerprint(read_coco(moved)) != before
    folder.image_folder.joinpath("000042.png").unlink()
    assert fingerprint(read_coco(root)) != before


@pytest.mark.parametrize("place", ["images", "val2017", "images/val2017", "."])
def test_the_image_folder_is_found(folder: CocoFolder, place: str) -> None:
    root = folder.write()
    folder.instances.rename(folder.instances.with_name("instances_val2017.json"))
    pictures = folder.image_folder.rename(root / "pictures")
    (root / place).mkdir(parents=True, exist_ok=True)
    for path in pictures.iterdir():
        path.rename(root / place / path.name)
    dataset = read_coco(root, "val2017")
    assert dataset.name == "coco val2017"
    assert load_image(dataset.samples[0]).size == (20, 20)
    assert read_coco(root / "annotations" / "instances_val2017.json") == dataset


def test_several_splits_must_be_chosen_from(folder: CocoFolder) -> None:
    root = folder.write()
    for split in ("val2017", "train2017"):
        shutil.copy(folder.instances, root / "annotations" / f"instances_{split}.json")
    folder.instances.unlink()
    with pytest.raises(DataError, match="Choose one of: train2017, val2017"):
        read_coco(root)
    assert read_coco(root, "train2017").samples
    with pytest.raises(DataError, match=r"instances_test\.json"):
        read_coco(root, "test")


def test_a_missing_or_broken_image_costs_one_sample(folder: CocoFolder) -> None:
    root = folder.write()
    (folder.image_folder / "000042.png").unlink()
    (folder.image_folder / "581929.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    folder.image(5, Image.new("RGB", (8, 8)))
    folder.write()
    dataset = read_coco(root)
    readable = []
    for sample in dataset.samples:
        try:
            readable.append(load_image(sample).size)
        except SampleError as error:
            assert sample.path.name in str(error)
    assert readable == [(8, 8)]


def test_a_mask_of_another_size_costs_one_sample(folder: CocoFolder) -> None:
    folder.object(9, 42, {"size": [30, 40], "counts": [100, 50, 1050]})
    sample = read_coco(folder.write()).samples[0]
    assert object_mask(sample, sample.annotations[0]).any()
    with pytest.raises(SampleError, match="object 9"):
        object_mask(sample, sample.annotations[1])


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ("images", "id"),
        ("images", "file_name"),
        ("images", "width"),
        ("images", "height"),
        ("categories", "id"),
        ("categories", "name"),
        ("annotations", "id"),
        ("annotations", "image_id"),
        ("annotations", "category_id"),
        ("annotations", "area"),
        ("annotations", "bbox"),
        ("annotations", "segmentation"),
    ],
)
def test_a_missing_field_is_named(folder: CocoFolder, table: str, field: str) -> None:
    del getattr(folder, table)[-1][field]
    with pytest.raises(DataError, match=rf"instances\.json: .*`{field}`.*\$\.{table}\["):
        read_coco(folder.write())


@pytest.mark.parametrize("table", ["images", "categories", "annotations"])
def test_a_missing_table_is_named(folder: CocoFolder, table: str) -> None:
    folder.write()
    tables = json.loads(folder.instances.read_text())
    del tables[table]
    folder.instances.write_text(json.dumps(tables))
    with pytest.raises(DataError, match=rf"instances\.json: .*`{table}`"):
        read_coco(folder.root)


def test_a_missing_crowd_flag_means_no_crowd(folder: CocoFolder) -> None:
    for item in folder.annotations:
        item.pop("iscrowd")
    samples = read_coco(folder.write()).samples
    assert not any(item.crowd for sample in samples for item in sample.annotations)


@pytest.mark.parametrize(
    ("table", "change", "reason"),
    [
        ("images", {"id": 42.5}, "Expected `int`"),
        ("images", {"id": 581929}, "id 581929 is given twice in images"),
        ("images", {"file_name": "../secret.png"}, "inside the image folder"),
        ("images", {"file_name": "/etc/passwd"}, "inside the image folder"),
        ("images", {"width": 0}, "at least 1"),
        ("categories", {"id": 18}, "id 18 is given twice in categories"),
        ("annotations", {"id": 900}, "id 900 is given twice in annotations"),
        ("annotations", {"image_id": 1}, "annotation 8 has image_id 1"),
        ("annotations", {"category_id": 99}, "annotation 8 has category_id 99"),
        ("annotations", {"bbox": [1, 2, 3]}, "bbox"),
        ("annotations", {"area": "large"}, "Expected `float`"),
    ],
)
def test_a_wrong_value_is_named(
    folder: CocoFolder, table: str, change: dict[str, Any], reason: str
) -> None:
    getattr(folder, table)[-1].update(change)
    with pytest.raises(DataError, match=rf"instances\.json: .*{reason}"):
        read_coco(folder.write())


@pytest.mark.parametrize("content", [b"", b"[", b'{"images": [', b"\xff\xfe\x00", b"[]", b"null"])
def test_a_broken_json_is_named(folder: CocoFolder, content: bytes) -> None:
    folder.write()
    folder.instances.write_bytes(content)
    with pytest.raises(DataError, match=r"instances\.json"):
        read_coco(folder.root)


def test_missing_folders_are_named(folder: CocoFolder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such"):
        read_coco(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no annotations/instances"):
        read_coco(tmp_path)
    shutil.rmtree(folder.write() / "images")
    with pytest.raises(DataError, match="none of its first images was found"):
        read_coco(folder.root)
