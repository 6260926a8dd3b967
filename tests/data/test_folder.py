"""A plain folder gives its images, and its objects from masks and boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retinoscope.data import (
    Dataset,
    image_files,
    load_image,
    object_mask,
    read_folder,
    single_image,
)
from retinoscope.data.fingerprint import fingerprint
from retinoscope.errors import DataError, SampleError

WIDTH, HEIGHT = 24, 16


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), "green").save(path)
    return path


def mask(path: Path, x: int, y: int, width: int, height: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[y : y + height, x : x + width] = 255
    Image.fromarray(pixels).save(path)
    return path


def class_names(dataset: Dataset) -> dict[str, list[str]]:
    return {
        sample.path.name: [item.class_name for item in sample.annotations]
        for sample in dataset.samples
    }


def test_masks_are_matched_by_name(tmp_path: Path) -> None:
    for name in ("photo.jpg", "photo.1.png", "sub/other.webp", "plain.JPG"):
        picture(tmp_path / name)
    for name in (
        "photo.mask.png",
        "photo.dog.mask.png",
        "photo.traffic_light.2.mask.png",
        "photo.1.cat.mask.png",
        "masks/photo_bird_3.png",
        "masks/plainer.png",
        "sub/masks/other.png",
    ):
        mask(tmp_path / name, 1, 2, 3, 4)
    dataset = read_folder(tmp_path)
    assert class_names(dataset) == {
        "photo.1.png": ["cat"],
        "photo.jpg": ["bird", "dog", "object", "traffic light"],
        "plain.JPG": [],
        "other.webp": ["object"],
    }
    assert dataset.skipped == ()
    assert [sample.image_id for sample in dataset.samples] == [1, 2, 3, 4]
    ids = [item.object_id for sample in dataset.samples for item in sample.annotations]
    assert ids == [1, 2, 3, 4, 5, 6]
    for sample in dataset.samples:
        assert load_image(sample).size == (WIDTH, HEIGHT)
        for item in sample.annotations:
            assert (item.area, item.box) == (12, (1, 2, 3, 4))
            assert object_mask(sample, item).sum() == 12


@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_objects_table_gives_boxes_and_masks(tmp_path: Path, form: str) -> None:
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "sub" / "b, c.jpg")
    mask(tmp_path / "shapes" / "m.mask.png", 0, 0, 5, 5)
    entries = [
        {"image": "a.jpg", "class": "dog", "x": 2, "y": 3, "width": 10, "height": 4},
        {"image": "a.jpg", "class": "traffic light", "mask": "shapes/m.mask.png"},
        {"image": "sub/b, c.jpg", "x": 0, "y": 0, "width": WIDTH, "height": HEIGHT},
    ]
    if form == "json":
        (tmp_path / "objects.json").write_text(json.dumps(entries))
    else:
        lines = [
            "image,class,x,y,width,height,mask",
            "a.jpg,dog,2,3,10,4,",
            "a.jpg,traffic light,,,,,shapes/m.mask.png",
            f'"sub/b, c.jpg",,0,0,{WIDTH},{HEIGHT},',
        ]
        (tmp_path / "objects.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    dataset = read_folder(tmp_path)
    assert class_names(dataset) == {"a.jpg": ["dog", "traffic light"], "b, c.jpg": ["object"]}
    first, second = dataset.samples
    box = object_mask(first, first.annotations[0])
    assert box.sum() == 40
    assert box[3:7, 2:12].all()
    assert object_mask(first, first.annotations[1]).sum() == 25
    assert object_mask(second, second.annotations[0]).all()


def test_what_cannot_be_used_is_named_and_the_rest_read(tmp_path: Path) -> None:
    picture(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    mask(tmp_path / "good.dog.mask.png", 0, 0, 2, 2)
    Image.new("L", (WIDTH, HEIGHT), 0).save(tmp_path / "good.void.mask.png")
    Image.new("L", (3, 3), 255).save(tmp_path / "good.small.mask.png")
    (tmp_path / "good.broken.mask.png").write_bytes(b"no mask")
    rows = ["image,x,y,width,height", "gone.png,0,0,1,1", "good.png,20,0,9,9", "good.png,0,0,0,1"]
    (tmp_path / "objects.csv").write_text("\n".join(rows))
    dataset = read_folder(tmp_path)
    assert class_names(dataset) == {"good.png": ["dog"]}
    assert len(dataset.skipped) == 7
    for part in ("bad.png", "void", "small", "broken", "gone.png", "x=20.0", "width=0.0"):
        assert sum(part in reason for reason in dataset.skipped) == 1, part


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("objects.csv", "class,x\ndog,1", "object 1: KeyError.'image'"),
        ("objects.csv", "image,class\na.png,dog", "either a box or a mask"),
        ("objects.csv", "image,x,y,width\na.png,1,2,3", "height"),
        ("objects.csv", "image,x,y,width,height\na.png,1,2,wide,4", "object 1"),
        ("objects.csv", "image,x,y,width,height\na.png,1,2,inf,4", "not finite"),
        ("objects.csv", "image,mask\n../a.png,m.png", "leaves the folder"),
        ("objects.csv", "image,mask\na.png,/etc/m.png", "leaves the folder"),
        ("objects.json", "{", "can't be read"),
        ("objects.json", "{}", "expected a list"),
        ("objects.json", "[5]", "object 1"),
        ("objects.json", '[{"image": 5, "mask": "m.png"}]', "is not a path"),
    ],
)
def test_a_malformed_table_is_named(tmp_path: Path, name: str, content: str, reason: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=rf"{name}: .*{reason}"):
        read_folder(tmp_path)


def test_two_tables_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "objects.csv").write_text("image,mask\n")
    (tmp_path / "objects.json").write_text("[]")
    with pytest.raises(DataError, match="Keep one"):
        read_folder(tmp_path)


def test_images_are_listed_without_masks_and_hidden_files(tmp_path: Path) -> None:
    wanted = [picture(tmp_path / name) for name in ("a.png", "n01/x.JPEG", "n02/y.webp")]
    picture(tmp_path / ".thumbs" / "a.png")
    picture(tmp_path / ".b.png")
    mask(tmp_path / "a.mask.png", 0, 0, 1, 1)
    mask(tmp_path / "masks" / "a.png", 0, 0, 1, 1)
    (tmp_path / "notes.txt").write_text("none")
    assert image_files(tmp_path) == wanted


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image in this folder"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_folder(tmp_path / "nowhere")


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for root in (one, two):
        picture(root / "a.png")
        mask(root / "a.dog.mask.png", 0, 0, 2, 2)
    assert fingerprint(read_folder(one)) == fingerprint(read_folder(two))
    (two / "a.dog.mask.png").rename(two / "a.cat.mask.png")
    assert fingerprint(read_folder(one)) != fingerprint(read_folder(two))


def test_a_single_image_has_a_box_or_a_mask_or_no_object(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    shape = mask(tmp_path / "shape.png", 1, 1, 3, 3)
    assert single_image(path).samples[0].annotations == ()
    boxed = single_image(path, box=(2, 2, 4, 4), class_name="dog")
    assert boxed.categories == ("dog",)
    sample = boxed.samples[0]
    assert object_mask(sample, sample.annotations[0]).sum() == 16
    masked = single_image(path, mask=shape, class_name="dog")
    sample = masked.samples[0]
    assert object_mask(sample, sample.annotations[0]).sum() == 9
    assert fingerprint(boxed) != fingerprint(masked)
    with pytest.raises(DataError, match="Give one of them"):
        single_image(path, box=(0, 0, 1, 1), mask=shape)
    with pytest.raises(SampleError, match="not inside"):
        single_image(path, box=(20, 0, 9, 9))
    with pytest.raises(SampleError, match="no such image"):
        single_image(tmp_path / "gone.png")
