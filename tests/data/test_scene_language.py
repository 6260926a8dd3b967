"""Laws of what is said and asked of a scene."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.data.scenes.classes import CLASSES, NAMES
from retinoscope.data.scenes.language import (
    NUMBERS,
    Fact,
    caption,
    place,
    poll_question,
    position_question,
    position_word,
    questions,
)
from retinoscope.errors import DataError

facts_strategy = st.lists(
    st.builds(
        Fact,
        st.sampled_from(NAMES),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(("red", "green")),
    ),
    min_size=1,
    max_size=4,
)


@given(facts_strategy, st.integers(0, 1000))
def test_a_caption_names_every_class_with_its_number(facts: list[Fact], seed: int) -> None:
    text = caption(facts, np.random.default_rng(seed))
    words = text.rstrip(".").replace(",", "").split()
    assert text.endswith(".")
    for name, number in Counter(f.name for f in facts).items():
        spoken = name if number == 1 else CLASSES[name].plural
        assert spoken in words
        if number > 1:
            assert words[words.index(spoken) - 1] == NUMBERS[number].lower()
    for name in set(NAMES) - {f.name for f in facts}:
        assert name not in words


@given(facts_strategy)
def test_every_question_has_one_true_answer(facts: list[Fact]) -> None:
    for question in questions(facts):
        if question.kind == "count":
            name = next(n for n in NAMES if f" {CLASSES[n].plural} " in question.question)
            assert question.answer == NUMBERS[sum(f.name == name for f in facts)]
            continue
        assert question.subject is not None
        subject = facts[question.subject]
        if question.kind == "position":
            assert question.question == position_question(subject.row, subject.column)
            same_cell = [f for f in facts if (f.row, f.column) == (subject.row, subject.column)]
            assert same_cell == [subject]
        if question.kind in ("position", "relation", "kind"):
            assert question.word == subject.name
            assert question.answer == f"It is {CLASSES[subject.name].article} {subject.name}."
        if question.kind == "where":
            assert question.answer == f"It is {place(subject.row, subject.column)}."
        if question.kind == "colour":
            assert question.word == subject.colour


@given(facts_strategy)
def test_relations_are_true_and_exclusive(facts: list[Fact]) -> None:
    axis = {
        "to the left of": lambda f, a: f.column < a.column,
        "to the right of": lambda f, a: f.column > a.column,
        "above": lambda f, a: f.row < a.row,
        "below": lambda f, a: f.row > a.row,
    }
    for question in (q for q in questions(facts) if q.kind == "relation"):
        relation = next(r for r in axis if f" {r} " in question.question)
        name = question.question.rstrip("?").rsplit(" ", 1)[1]
        anchor = next(f for f in facts if f.name == name)
        there = [i for i, f in enumerate(facts) if axis[relation](f, anchor)]
        assert there == [question.subject]


def test_the_words_of_the_tasks() -> None:
    assert poll_question("dog") == "Is there a dog in this image?"
    assert poll_question("apple") == "Is there an apple in this image?"
    assert position_question(1, 0) == "What is at the left?"
    assert position_question(0, 2) == "What is at the top right?"
    assert position_question(1, 1) == "What is in the center?"
    assert len({position_word(r, c) for r in range(3) for c in range(3)}) == 9


def test_an_empty_scene_has_no_caption() -> None:
    with pytest.raises(DataError, match="without objects"):
        caption([], np.random.default_rng(0))
