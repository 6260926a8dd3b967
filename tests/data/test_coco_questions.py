"""Questions, steps and relations of a COCO folder are read, or refused with what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from retinoscope.data import Question, Relation, Step, object_mask, read_coco
from retinoscope.errors import DataError, SampleError
from tests.data.coco_folder import CocoFolder, square, two_images


@pytest.fixture
def folder(tmp_path: Path) -> CocoFolder:
    return two_images(tmp_path / "coco")


def test_questions_of_both_forms_are_read(folder: CocoFolder) -> None:
    root = folder.write()
    path = folder.instances.with_name("questions.json")
    ours = {
        "question": "What is at the left?",
        "answer": "It is a dog.",
        "kind": "position",
        "word": "dog",
        "annotation_id": 8,
    }
    path.write_text(json.dumps({"42": ["What is in the sky?"], "581929": [ours], "1": []}))
    first, second = read_coco(root).samples
    assert first.questions == (Question("What is in the sky?"),)
    assert second.questions == (
        Question("What is at the left?", "It is a dog.", "dog", "position", 8),
    )
    path.write_text(json.dumps({"42": "What is in the sky?"}))
    again = read_coco(root).samples
    assert again[0].questions == first.questions
    assert again[1].questions == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "the file"),
        ("{", "not a whole JSON file"),
        ('{"a.jpg": "What?"}', "a key"),
        ('{"42": 5}', '"42"'),
        ('{"42": [{"answer": "dog"}]}', '"42"'),
        ('{"42": [{"question": "What?", "word": 3}]}', 'field "word"'),
        ('{"42": [{"question": "What?", "annotation_id": "x"}]}', 'field "annotation_id"'),
        ('{"1": "What?"}', "none of its 1 image ids"),
    ],
)
def test_malformed_questions_are_named(folder: CocoFolder, content: str, reason: str) -> None:
    root = folder.write()
    folder.instances.with_name("questions.json").write_text(content)
    with pytest.raises(DataError, match=rf"questions\.json: .*{reason}"):
        read_coco(root)


def test_attributes_amodal_masks_and_relations_are_read(folder: CocoFolder) -> None:
    folder.annotations[0] |= {
        "attributes": ["red", "tall"],
        "amodal_segmentation": square(1, 1, 9),
    }
    # As CVAT exports them.
    folder.annotations[1]["attributes"] = {"occluded": False}
    folder.images[0]["relations"] = [{"subject": 8, "name": "on", "object": 7}]
    root = folder.write()
    first, second = read_coco(root).samples
    light = first.annotations[0]
    assert light.attributes == ("red", "tall")
    assert object_mask(first, light.whole).sum() > object_mask(first, light).sum()
    assert second.annotations[0].attributes == ("occluded=False",)
    assert second.relations == (Relation(8, "on", 7),)
    with pytest.raises(SampleError, match="no amodal mask"):
        _ = second.annotations[0].whole
    folder.images[0]["relations"][0]["object"] = 77
    folder.write()
    with pytest.raises(DataError, match="'on' between 8 and 77"):
        read_coco(root)


def test_steps_choices_and_unknown_fields_of_questions_are_kept(folder: CocoFolder) -> None:
    root = folder.write()
    entry = {
        "question": "Is it red?",
        "choices": ["Yes", "No"],
        "steps": [{"op": "select", "annotation_ids": [900]}, {"op": "verify", "inputs": [0]}],
        "author": "me",
    }
    (root / "annotations" / "questions.json").write_text(json.dumps({"42": [entry]}))
    (question,) = read_coco(root).samples[0].questions
    assert question.choices == ("Yes", "No")
    assert question.steps == (Step("select", "", (900,)), Step("verify", "", (), (0,)))
    assert question.raw == {"author": "me"}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("choices", "Yes", "a list of texts"),
        ("steps", {}, "a list of steps"),
        ("steps", ["select"], 'an object with "op"'),
        ("steps", [{"argument": "dog"}], 'an object with "op"'),
        ("steps", [{"op": "select", "argument": 3}], 'step 0, field "argument"'),
        ("steps", [{"op": "select", "annotation_ids": ["7"]}], "whole numbers"),
        ("steps", [{"op": "select", "inputs": [0]}], "numbers of earlier steps"),
    ],
)
def test_malformed_steps_are_named(folder: CocoFolder, field: str, value: Any, reason: str) -> None:
    root = folder.write()
    file = root / "annotations" / "questions.json"
    file.write_text(json.dumps({"42": [{"question": "Is it red?", field: value}]}))
    with pytest.raises(DataError, match=f"{file}.*{reason}"):
        read_coco(root)
