"""A target knows what the data say of its image: objects, relations, questions with steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retinoscope.data import Relation, Step, arranged_scenes
from retinoscope.errors import SampleError
from retinoscope.experiments import Settings, Target, read_target


@pytest.fixture(scope="module")
def targets() -> list[Target]:
    dataset = arranged_scenes("rows", 4, seed=3)
    return [
        read_target(sample, annotation, dataset.categories, Settings())
        for sample in dataset.samples
        for annotation in sample.annotations
    ]


def test_others_are_those_of_the_image(targets: list[Target]) -> None:
    for target in targets:
        own = target.annotation.object_id
        assert {own, *(one.object_id for one in target.others)} == {
            one.object_id for one in target.sample.annotations
        }
        assert own not in {one.object_id for one in target.others}
        assert all(own in (one.subject, one.object) for one in target.relations)
        for other in target.others:
            mask = target.mask_of(other)
            assert mask.shape == target.mask.shape
            assert not np.array_equal(mask, target.mask)


def test_relations_are_those_in_which_the_object_stands(targets: list[Target]) -> None:
    target = next(one for one in targets if len(one.others) > 1)
    own, (first, second) = target.annotation.object_id, [o.object_id for o in target.others[:2]]
    near, far = Relation(own, "left of", first), Relation(second, "above", own)
    elsewhere = Relation(first, "below", second)
    related = replace(target.sample, relations=(near, elsewhere, far))
    assert replace(target, sample=related).relations == (near, far)


def test_the_questions_answer_is_the_object_and_their_steps_lead_to_objects(
    targets: list[Target],
) -> None:
    stepped = 0
    for target in targets:
        assert (target.question == "") == (not target.questions)
        assert not target.questions or target.question in {q.text for q in target.questions}
        for question in target.sample.questions:
            for step in question.steps:
                found = target.objects_of(step)
                assert tuple(one.object_id for one in found) == step.object_ids
                stepped += len(found)
    assert stepped


def test_a_step_to_an_object_that_is_not_there_is_refused(targets: list[Target]) -> None:
    with pytest.raises(SampleError, match=r"select dog names the objects \[-7\]"):
        targets[0].objects_of(Step("select", "dog", (-7,)))
