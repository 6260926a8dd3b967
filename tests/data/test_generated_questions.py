"""Questions are generated where the data bring none, and their answer is the object."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from retinoscope.data import ANY_SIZE, Annotation, Question, Sample, read_coco, select
from retinoscope.data.generated_questions import generated_questions, with_questions
from retinoscope.experiments import Settings, read_target
from tests.data.coco_folder import CocoFolder, square


def thing(number: int, name: str, box: tuple[float, float, float, float]) -> Annotation:
    return Annotation(number, name, box[2] * box[3], box, False, b"[]")


def sample(*things: Annotation) -> Sample:
    return Sample(1, Path("a.png"), 100, 100, things)


LEFT, RIGHT = (5, 40, 20, 20), (60, 45, 20, 20)


def texts(where: Sample, item: Annotation) -> list[str]:
    return [question.text for question in generated_questions(where, item)]


def test_sides_are_told_from_boxes() -> None:
    dog, cat = thing(1, "dog", LEFT), thing(2, "cat", RIGHT)
    assert texts(sample(dog, cat), dog) == ["What is to the left of the cat?"]
    assert texts(sample(dog, cat), cat) == ["What is to the right of the dog?"]
    high = thing(3, "kite", (0, 0, 30, 20))
    assert texts(sample(dog, high), high) == ["What is above the dog?"]
    assert texts(sample(dog, high), dog) == ["What is below the kite?"]
    (question,) = generated_questions(sample(dog, cat), dog)
    assert (question.word, question.kind, question.object_id) == ("dog", "relation", 1)


@pytest.mark.parametrize(
    "other",
    [
        thing(3, "bird", (10, 48, 10, 10)),  # a second thing on that side
        thing(3, "dog", (80, 0, 10, 10)),  # the landmark would be one of two
    ],
)
def test_what_would_be_ambiguous_is_not_asked(other: Annotation) -> None:
    dog, cat = thing(1, "dog", RIGHT), thing(2, "cat", LEFT)
    bird = sample(dog, cat, other)
    assert "What is to the left of the dog?" not in texts(bird, cat)


def test_things_that_overlap_or_lie_askew_are_not_asked_about() -> None:
    dog = thing(1, "dog", (10, 10, 20, 20))
    for box in [(20, 10, 20, 20), (50, 50, 20, 20)]:
        assert texts(sample(dog, thing(2, "cat", box)), dog) == []
    assert texts(sample(dog), dog) == []


@pytest.fixture
def folder(tmp_path: Path) -> CocoFolder:
    folder = CocoFolder(tmp_path / "coco")
    for number in (1, 2):
        folder.image(number, Image.new("RGB", (100, 100)))
        folder.object(10 * number, number, square(5, 40, 20), bbox=[5, 40, 20, 20])
        box = [60, 45, 20, 20]
        folder.object(10 * number + 1, number, square(60, 45, 20), category_id=10, bbox=box)
    return folder


def asked(root: Path, seed: int = 0) -> dict[int, str]:
    """The question of every object of a COCO folder."""
    dataset = read_coco(root)
    pairs = with_questions(
        dataset, select(dataset, replace(ANY_SIZE, one_per_image=False)).candidates
    )
    targets = [read_target(s, item, dataset.categories, Settings(seed=seed)) for s, item in pairs]
    return {target.annotation.object_id: target.question for target in targets}


def test_data_without_questions_get_them(folder: CocoFolder) -> None:
    left, right = "What is to the left of the traffic light?", "What is to the right of the dog?"
    assert asked(folder.write()) == {10: left, 11: right, 20: left, 21: right}


def test_data_with_questions_keep_their_own_alone(folder: CocoFolder) -> None:
    """In the paper's form a question names no object: it is about the image's object."""
    root = folder.write()
    folder.instances.with_name("questions.json").write_text(
        '{"1": ["What is the person holding?"], "2": []}'
    )
    dataset = read_coco(root)
    assert dataset.samples[0].questions == (Question("What is the person holding?"),)
    assert asked(root) == {10: "What is the person holding?", 11: "What is the person holding?"} | {
        20: "",
        21: "",
    }
