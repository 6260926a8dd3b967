"""A subject knows what the data say of its image: objects, relations, questions with steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retinoscope.data import Relation, Step, arranged_scenes
from retinoscope.errors import SampleError
from retinoscope.experiments import Settings, Subject, read_subject


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    dataset = arranged_scenes("rows", 4, seed=3)
    return [
        read_subject(sample, annotation, dataset.categories, Settings())
        for sample in dataset.samples
        for annotation in sample.annotations
    ]


def test_others_are_those_of_the_image(subjects: list[Subject]) -> None:
    for subject in subjects:
        own = subject.annotation.object_id
        assert {own, *(one.object_id for one in subject.others)} == {
            one.object_id for one in subject.sample.annotations
        }
        assert own not in {one.object_id for one in subject.others}
        assert all(own in (one.subject, one.object) for one in subject.relations)
        for other in subject.others:
            mask = subject.mask_of(other)
            assert mask.shape == subject.mask.shape
            assert not np.array_equal(mask, subject.mask)


def test_relations_are_those_in_which_the_object_stands(subjects: list[Subject]) -> None:
    subject = next(one for one in subjects if len(one.others) > 1)
    own, (first, second) = subject.annotation.object_id, [o.object_id for o in subject.others[:2]]
    near, far = Relation(own, "left of", first), Relation(second, "above", own)
    elsewhere = Relation(first, "below", second)
    related = replace(subject.sample, relations=(near, elsewhere, far))
    assert replace(subject, sample=related).relations == (near, far)


def test_the_questions_answer_is_the_object_and_their_steps_lead_to_objects(
    subjects: list[Subject],
) -> None:
    stepped = 0
    for subject in subjects:
        assert (subject.question == "") == (not subject.questions)
        assert not subject.questions or subject.question in {q.text for q in subject.questions}
        for question in subject.sample.questions:
            for step in question.steps:
                found = subject.objects_of(step)
                assert tuple(one.object_id for one in found) == step.object_ids
                stepped += len(found)
    assert stepped


def test_a_step_to_an_object_that_is_not_there_is_refused(subjects: list[Subject]) -> None:
    with pytest.raises(SampleError, match=r"select dog names the objects \[-7\]"):
        subjects[0].objects_of(Step("select", "dog", (-7,)))
