"""The folder that scenes are written to is COCO, whole, and the same for the same seed."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from retinoscope.data import load_image, object_mask, read_coco
from retinoscope.data.scenes import (
    CLASSES,
    arrange,
    ask,
    compose,
    render,
    write_arranged,
    write_scenes,
)
from retinoscope.errors import DataError

COUNT, SEED = 12, 21


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("coco") / "scenes", COUNT, SEED)


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / "annotations" / f"{name}.json").read_text("utf-8"))


# pycocotools 2.0.11 hands numpy 2 an array type without the new copy keyword.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_the_masks_that_were_composed(folder: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "annotations" / "instances.json"))
    assert sorted(coco.imgs) == list(range(1, COUNT + 1))
    for image_id in coco.imgs:
        scene = compose(SEED, image_id - 1)
        annotations: list[Any] = coco.loadAnns(coco.getAnnIds(imgIds=[image_id]))
        assert len(annotations) == len(scene.objects)
        for annotation, thing in zip(annotations, scene.objects, strict=True):
            assert np.array_equal(coco.annToMask(annotation).astype(bool), thing.mask)
            assert annotation["area"] == thing.mask.sum()
            left, top, right, bottom = thing.box
            assert annotation["bbox"] == [left, top, right - left, bottom - top]
            category = coco.cats[annotation["category_id"]]
            assert category["name"] == thing.name
            assert category["supercategory"] == CLASSES[thing.name].kind
            assert annotation["iscrowd"] == 0
            assert (annotation["position"], annotation["colour"]) == (thing.position, thing.colour)


def test_images_are_the_composed_pixels(folder: Path) -> None:
    for record in read(folder, "instances")["images"]:
        with Image.open(folder / "images" / record["file_name"]) as image:
            assert np.array_equal(np.asarray(image), compose(SEED, record["id"] - 1).image)


def test_captions_and_questions_belong_to_the_images(folder: Path) -> None:
    captions = read(folder, "captions")["annotations"]
    assert [c["image_id"] for c in captions] == list(range(1, COUNT + 1))
    assert all(c["caption"].endswith(".") for c in captions)
    annotations = {a["id"]: a for a in read(folder, "instances")["annotations"]}
    asked = read(folder, "questions")
    assert list(asked) == [str(i) for i in range(1, COUNT + 1)]
    for image_id, questions in asked.items():
        for question in questions:
            assert set(question) == {"question", "answer", "kind", "word", "annotation_id"}
            if question["annotation_id"] is not None:
                assert annotations[question["annotation_id"]]["image_id"] == int(image_id)


def test_writing_again_changes_nothing_and_says_the_same(folder: Path, tmp_path: Path) -> None:
    before = (folder / "annotations" / "instances.json").stat().st_mtime_ns
    assert write_scenes(folder, COUNT, SEED) == folder
    assert (folder / "annotations" / "instances.json").stat().st_mtime_ns == before
    steps: list[int] = []
    other = write_scenes(tmp_path / "again", COUNT, SEED, progress=steps.append)
    assert steps == list(range(1, COUNT + 1))
    for file in sorted(folder.rglob("*.*")):
        assert file.read_bytes() == (other / file.relative_to(folder)).read_bytes()


def test_other_contents_are_never_overwritten(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="remove it or name another"):
        write_scenes(folder, COUNT, SEED + 1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(DataError):
        write_scenes(tmp_path / "mine", 1, 0)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_an_interrupted_folder_is_not_there(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "scenes", 5, 0, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_senseless_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="count=0"):
        write_scenes(tmp_path / "scenes", 0, 0)
    with pytest.raises(DataError, match="seed=-1"):
        write_scenes(tmp_path / "scenes", 1, -1)


@pytest.fixture(scope="module")
def arranged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_arranged(tmp_path_factory.mktemp("coco") / "overlap", "overlap", COUNT, SEED)


def test_arranged_scenes_carry_whole_masks_paints_and_who_is_in_front(arranged: Path) -> None:
    hiding = 0
    for sample in read_coco(arranged).samples:
        picture = render(arrange("overlap", SEED, sample.image_id - 1))
        assert np.array_equal(np.asarray(load_image(sample)), picture.image)
        for item, thing in zip(sample.annotations, picture.objects, strict=True):
            assert np.array_equal(object_mask(sample, item), thing.mask)
            assert np.array_equal(object_mask(sample, item.whole), thing.whole)
            assert item.attributes == ((thing.colour,) if thing.painted else ())
        ids = [item.object_id for item in sample.annotations]
        assert [(r.subject, r.name, r.object) for r in sample.relations] == [
            (ids[front], "in front of", ids[behind]) for front, behind in picture.in_front
        ]
        hiding += len(sample.relations)
    assert hiding


@pytest.mark.parametrize("kind", ["rows", "groups"])
def test_steps_travel_through_the_folder(kind: str, tmp_path: Path) -> None:
    folder = write_arranged(tmp_path / kind, kind, 3, SEED)
    for sample in read_coco(folder).samples:
        asked = ask(arrange(kind, SEED, sample.image_id - 1))
        ids = [item.object_id for item in sample.annotations]
        assert len(sample.questions) == len(asked) > 0
        for read_back, question in zip(sample.questions, asked, strict=True):
            assert read_back.text == question.question
            assert (read_back.answer, read_back.kind) == (question.answer, question.kind)
            subject = None if question.subject is None else ids[question.subject]
            assert read_back.object_id == subject
            for one, other in zip(read_back.steps, question.steps, strict=True):
                assert (one.op, one.argument, one.inputs) == (
                    other.op,
                    other.argument,
                    other.inputs,
                )
                assert one.object_ids == tuple(ids[i] for i in other.object_ids)


def test_a_folder_of_another_kind_is_never_taken_for_this_one(arranged: Path) -> None:
    assert write_arranged(arranged, "overlap", COUNT, SEED) == arranged
    with pytest.raises(DataError, match="remove it or name another"):
        write_arranged(arranged, "rows", COUNT, SEED)
    with pytest.raises(DataError, match="remove it or name another"):
        write_scenes(arranged, COUNT, SEED)
    with pytest.raises(DataError, match="kind 'pile' is unknown"):
        write_arranged(arranged.parent / "pile", "pile", 1, 0)
    assert not (arranged.parent / "pile").exists()
