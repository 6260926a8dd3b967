"""Every benchmark's format becomes the same samples, and what is not known is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from retinoscope.data import Relation, Step, object_mask, open_data
from retinoscope.data.readers.choices import shuffled
from retinoscope.errors import DataError, SampleError
from tests.data.coco_folder import CocoFolder, square
from tests.data.formats_folder import Make, edit, opened, written


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Put a format's files and small images into a folder of its own."""
    return lambda kind: written(kind, tmp_path / kind)


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


def test_whatsup_states_a_caption_of_objects_that_are_added_to_its_items(make: Make) -> None:
    root = make("whatsup")
    path = root / "controlled_images_dataset.json"
    items = json.loads(path.read_text("utf-8"))
    items[0]["objects"] = [
        {"name": "book", "box": [0, 0, 8, 8]},
        {"name": "mug", "box": [9, 1, 4, 5]},
    ]
    items[1]["objects"] = [{"name": "mug", "box": [0, 0, 10**6, 8]}]
    path.write_text(json.dumps(items))
    data = opened("whatsup", root)
    with_objects, without = data.samples
    assert [(one.class_name, one.box) for one in with_objects.annotations] == [
        ("book", (0, 0, 8, 8)),
        ("mug", (9, 1, 4, 5)),
    ]
    caption, stated = with_objects.questions
    assert not caption.stepwise and stated.stepwise
    said = caption.choices[0]
    assert stated.text == f"{said}. Is this true or false?"
    assert stated.answer == str(said == caption.answer)
    mug, book = with_objects.annotations[::-1]
    assert stated.steps == (
        Step("select", "mug", (mug.object_id,)),
        Step("select", "book", (book.object_id,)),
        Step("verify", said, inputs=(0, 1)),
    )
    # A box that is not in the image is told, and its image has a caption to choose alone.
    assert not without.annotations and len(without.questions) == 1
    assert "not inside" in data.skipped[0]
    items[1]["objects"] = [{"name": "mug", "box": [1, 2, 3]}]
    path.write_text(json.dumps(items))
    with pytest.raises(DataError, match=r"item 1, objects\[0\], field 'box' is \[1, 2, 3\]"):
        opened("whatsup", root)


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
