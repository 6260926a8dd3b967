"""Every benchmark's format becomes the same samples; what is missing is named, the rest is kept."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retinoscope.data import Dataset, Relation, Step, object_mask, open_data, sources
from retinoscope.data.fingerprint import fingerprint
from retinoscope.data.readers.choices import shuffled
from retinoscope.errors import DataError, SampleError
from tests.data.coco_folder import CocoFolder, square

FORMATS = Path(__file__).parent / "formats"
SIZES = {"gqa": (60, 40), "clevr": (160, 120), "panoptic": (40, 30)}
IMAGES = {
    "gqa": ("images/2405722.jpg", "images/n161313.jpg"),
    "clevr": ("images/val/CLEVR_val_000000.png",),
    "vsr": ("images/000000050403.jpg",),
    "whatsup": (
        "controlled_images/mug_left_of_book.jpeg",
        "controlled_images/mug_on_book.jpeg",
        "val2017/000000000139.jpg",
    ),
    "pope": ("val2014/COCO_val2014_000000310196.jpg",),
    "tallyqa": ("VG_100K_2/1.jpg", "images/val2014/COCO_val2014_000000000001.jpg"),
    "panoptic": ("val2017/000000000139.jpg",),
}
FILES = {
    "gqa": "val_balanced_questions.json",
    "clevr": "questions/CLEVR_val_questions.json",
    "vsr": "test.jsonl",
    "whatsup": "controlled_images_dataset.json",
    "pope": "coco_pope_random.json",
    "tallyqa": "test.json",
    "panoptic": "annotations/panoptic_val2017.json",
}

Make = Callable[[str], Path]


def written(kind: str, root: Path) -> Path:
    """A format's files, and small images, in a folder."""
    shutil.copytree(FORMATS / kind, root)
    for name in IMAGES[kind]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZES.get(kind, (32, 24)), "teal").save(path)
    if kind == "panoptic":
        numbers = np.zeros((30, 40, 3), np.uint8)
        numbers[10:30, 5:15] = [3226956 >> shift & 255 for shift in (0, 8, 16)]
        numbers[:10] = [3, 2, 1]
        folder = root / "annotations" / "panoptic_val2017"
        folder.mkdir()
        Image.fromarray(numbers).save(folder / "000000000139.png")
    return root


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Put a format's files and small images into a folder of its own."""
    return lambda kind: written(kind, tmp_path / kind)


def opened(kind: str, root: Path) -> Dataset:
    return open_data(f"{kind}:{root / FILES[kind] if kind == 'whatsup' else root}")


def test_gqa_brings_steps_with_objects_boxes_and_relations(make: Make) -> None:
    dataset = opened("gqa", make("gqa"))
    first, other = dataset.samples
    assert (first.image_id, first.width, first.height) == (2405722, 60, 40)
    assert other.image_id == 10**9 + 161313
    (question,) = first.questions
    assert (question.answer, question.word) == ("The dog is brown.", "brown")
    assert (question.kind, question.object_id) == ("query", 1002)
    assert question.steps == (
        Step("select", "chair", (1001,)),
        Step("relate", "dog,to the left of,s", (1002,), (0,)),
        Step("query", "color", (), (1,)),
    )
    assert question.raw["types"]["semantic"] == "rel"
    assert question.raw["annotations"]["question"] == {"10": "1001"}
    chair, dog = first.annotations
    assert (dog.class_name, dog.attributes, dog.box) == ("dog", ("brown", "small"), (2, 10, 20, 20))
    assert dog.extent == "box"
    assert object_mask(first, dog).sum() == 400
    assert first.relations == (Relation(chair.object_id, "to the right of", dog.object_id),)
    assert first.raw == {"location": "indoors"}
    nothing, several, _ = other.questions[0].steps
    assert nothing == Step("select", "cat")
    assert several == Step("select", "animal", (1757748, 2007952))
    assert len(dataset.skipped) == 1
    assert "the box x=50" in dataset.skipped[0]


def test_clevr_runs_its_programs_to_the_objects_of_each_step(make: Make) -> None:
    dataset = opened("clevr", make("clevr"))
    (sample,) = dataset.samples
    red, sphere, cube = sample.annotations
    hop, compare = sample.questions
    reached = [step.object_ids for step in hop.steps]
    assert reached == [(1, 2, 3), (1,), (1,), (1,), (2, 3), (2,), (2,), (2,)]
    assert hop.object_id == sphere.object_id
    assert (compare.answer, compare.steps[-1]) == (
        "yes",
        Step("greater_than", "", (2, 3, 1), (2, 4)),
    )
    assert (red.extent, red.attributes) == ("approximate", ("large", "red", "rubber"))
    assert object_mask(sample, red).sum() > 3 * object_mask(sample, cube).sum()
    assert Relation(sphere.object_id, "right", red.object_id) in sample.relations
    assert red.raw["3d_coords"] == [-1.0, 0.0, 0.7]
    assert hop.raw["question_family_index"] == 12
    assert len(dataset.skipped) == 1
    assert "the program gives '1', the data set '7'" in dataset.skipped[0]


def test_clevr_accepts_the_other_spelling_of_its_relations(make: Make) -> None:
    root = make("clevr")
    before = opened("clevr", root)
    edit(root / "scenes" / "CLEVR_val_scenes.json", '"relationships"', '"relations"')
    assert opened("clevr", root) == before


def test_vsr_asks_whether_a_statement_is_true(make: Make) -> None:
    dataset = opened("vsr", make("vsr"))
    (sample,) = dataset.samples
    first, second = sample.questions
    assert first.text == "The teddy bear is in front of the person. Is this true or false?"
    assert (first.answer, first.choices, first.steps) == ("True", ("True", "False"), ())
    assert second.answer == "False"
    assert [step.argument for step in second.steps] == ["person", "teddy bear", "left of"]
    assert second.raw["vote_false_validator_id"] == "[3]"
    assert len(dataset.skipped) == 1
    assert dataset.skipped[0].startswith("000000000009.jpg: no such image in ")


def test_whatsup_does_not_tell_the_right_caption_by_its_place(make: Make) -> None:
    root = make("whatsup")
    left, on = opened("whatsup", root).samples
    assert left.questions[0].answer == "A mug to the left of a book"
    assert on.questions[0].answer == "A mug on a book"
    assert set(left.questions[0].choices) == set(on.questions[0].choices)
    assert on.questions[0].raw == {"note": "kept"}
    (sample,) = open_data(f"whatsup:{root}", split="coco_qa_two_obj").samples
    assert sample.questions[0].answer in sample.questions[0].choices
    assert len(sample.questions[0].choices) == 2
    firsts = [shuffled(("a", "b", "c", "d"), str(i))[0] for i in range(400)]
    assert all(70 < firsts.count(text) < 130 for text in "abcd")


def test_pope_polls_and_takes_masks_from_coco_where_they_lie_beside(make: Make) -> None:
    root = make("pope")
    (sample,) = opened("pope", root).samples
    yes, no = sample.questions
    assert (yes.answer, yes.steps) == ("Yes", (Step("exist", "snowboard"),))
    assert (no.answer, no.steps) == ("No", (Step("exist", "dining table"),))
    assert no.raw == {"question_id": 2, "source": "random"}
    assert not sample.annotations
    coco = CocoFolder(root, "val2014")
    coco.image(5, Image.new("RGB", (32, 24)), "COCO_val2014_000000310196.jpg")
    coco.object(7, 5, square(1, 1, 8))
    coco.write()
    (sample,) = opened("pope", root).samples
    assert object_mask(sample, sample.annotations[0]).sum() > 0


def test_tallyqa_counts_and_keeps_images_of_two_collections_apart(make: Make) -> None:
    dataset = opened("tallyqa", make("tallyqa"))
    first, second = dataset.samples
    assert [question.answer for question in first.questions] == ["3", "0"]
    assert [question.raw["issimple"] for question in first.questions] == [True, False]
    assert first.image_id != second.image_id
    assert second.questions[0].raw["image_id"] == 1


def test_panoptic_brings_things_and_stuff(make: Make) -> None:
    dataset = opened("panoptic", make("panoptic"))
    (sample,) = dataset.samples
    dog, sky = sample.annotations
    assert (dog.class_name, dog.attributes, sky.attributes) == ("dog", ("thing",), ("stuff",))
    mask = object_mask(sample, dog)
    assert mask.sum() == 200
    assert mask[10:30, 5:15].all()
    assert object_mask(sample, sky)[:10].all()
    assert sky.raw == {"segment": 66051, "note": "kept"}
    assert sample.raw == {"license": 2}
    assert any("000000000285.jpg" in line for line in dataset.skipped)


def test_panoptic_images_that_are_not_numbers_are_refused(make: Make) -> None:
    root = make("panoptic")
    (sample,) = opened("panoptic", root).samples
    png = root / "annotations" / "panoptic_val2017" / "000000000139.png"
    Image.open(png).convert("L").save(png)
    with pytest.raises(SampleError, match="panoptic image of mode L"):
        object_mask(sample, sample.annotations[0])


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


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
