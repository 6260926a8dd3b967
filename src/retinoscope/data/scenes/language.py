"""What can be said and asked about a scene, in the exact words the tasks use.

Everything here is symbolic: it reads facts (what, where, which colour), never pixels, so that
the same words describe a rendered scene and a scene that was only imagined for training text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from retinoscope.data.scenes.classes import CLASSES, with_article
from retinoscope.errors import DataError

QuestionKind = Literal["position", "relation", "count", "colour", "where", "kind"]

NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five")
"""Numbers are answered as words."""

DESCRIBE = "Describe this image."
"""The prompt of the describe task."""

_ROWS = ("top", "", "bottom")
_COLUMNS = ("left", "", "right")
_RELATIONS = ("to the left of", "to the right of", "above", "below")
_ASKABLE_KINDS = ("animal", "fruit", "food", "plant", "vehicle")


@dataclass(frozen=True)
class Fact:
    """One thing of a scene as language sees it.

    Attributes:
        name: class name.
        row: 0 (top), 1 (middle) or 2 (bottom) third of the image.
        column: 0 (left), 1 (middle) or 2 (right) third of the image.
        colour: basic colour word.
    """

    name: str
    row: int
    column: int
    colour: str


@dataclass(frozen=True)
class Question:
    """A question with its answer.

    Attributes:
        question: the question as it is put to a model.
        answer: the whole answer ("It is a dog.").
        kind: what the question is about.
        word: the word of the answer that counts ("dog", "Two", "red", "top left").
        subject: index of the fact that is asked about, None when there are several.
    """

    question: str
    answer: str
    kind: QuestionKind
    word: str
    subject: int | None


def position_word(row: int, column: int) -> str:
    """Return "left", "top right", ... or "center" for a cell of the 3 x 3 grid."""
    return f"{_ROWS[row]} {_COLUMNS[column]}".strip() or "center"


def place(row: int, column: int) -> str:
    """Return "at the left", "at the top right", ... or "in the center"."""
    word = position_word(row, column)
    return "in the center" if word == "center" else f"at the {word}"


def poll_question(name: str) -> str:
    """Return "Is there a dog in this image?", whose answer is "Yes" or "No"."""
    return f"Is there {with_article(name)} in this image?"


def position_question(row: int, column: int) -> str:
    """Return "What is at the left?" and the like."""
    return f"What is {place(row, column)}?"


def count_question(name: str) -> str:
    """Return "How many dogs are there?"."""
    return f"How many {CLASSES[name].plural} are there?"


def caption(facts: Sequence[Fact], rng: np.random.Generator) -> str:
    """Describe a scene in one sentence.

    Things come in reading order by column and then row; things of one class are counted. About
    six captions in ten also say where single things are.

    Args:
        facts: the things of the scene, one or more.
        rng: chooses the wording.

    Returns:
        A sentence such as "There is a dog on the left and two cats.".

    Raises:
        DataError: there is nothing to describe.
    """
    if not facts:
        raise DataError("a caption was asked of a scene without objects; give one fact or more")
    opening = ("There is", "There is", "The image shows")[rng.integers(3)]
    with_places = rng.random() < 0.6
    groups: dict[str, list[Fact]] = {}
    for fact in sorted(facts, key=lambda f: (f.column, f.row)):
        groups.setdefault(fact.name, []).append(fact)
    parts = []
    for name, members in groups.items():
        if len(members) > 1:
            parts.append(f"{NUMBERS[len(members)].lower()} {CLASSES[name].plural}")
        elif with_places:
            where = place(members[0].row, members[0].column)
            if where in ("at the left", "at the right"):
                where = where.replace("at", "on")
            parts.append(f"{with_article(name)} {where}")
        else:
            parts.append(with_article(name))
    listed = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    if opening == "There is" and not listed.startswith(("a ", "an ")):
        opening = "There are"
    return f"{opening} {listed}."


def questions(facts: Sequence[Fact]) -> list[Question]:
    """List every question that the facts answer without ambiguity.

    Positions are asked of cells that hold one thing, relations where exactly one thing stands in
    another row or column on the side asked about, colours and places of things that are the only
    one of their class, kinds where one thing alone is of that kind.

    Args:
        facts: the things of a scene.

    Returns:
        Questions in a fixed order.
    """
    return [
        *_position_questions(facts),
        *_relation_questions(facts),
        *_count_questions(facts),
        *_single_questions(facts),
        *_kind_questions(facts),
    ]


def _it_is(name: str) -> str:
    return f"It is {with_article(name)}."


def _position_questions(facts: Sequence[Fact]) -> list[Question]:
    cells = Counter((f.row, f.column) for f in facts)
    return [
        Question(position_question(f.row, f.column), _it_is(f.name), "position", f.name, i)
        for i, f in enumerate(facts)
        if cells[f.row, f.column] == 1
    ]


def _stands(fact: Fact, relation: str, anchor: Fact) -> bool:
    if relation == "to the left of":
        return fact.column < anchor.column
    if relation == "to the right of":
        return fact.column > anchor.column
    if relation == "above":
        return fact.row < anchor.row
    return fact.row > anchor.row


def _relation_questions(facts: Sequence[Fact]) -> list[Question]:
    names = Counter(f.name for f in facts)
    found = []
    for anchor in facts:
        if names[anchor.name] > 1:
            continue
        for relation in _RELATIONS:
            there = [i for i, f in enumerate(facts) if _stands(f, relation, anchor)]
            if len(there) == 1:
                name = facts[there[0]].name
                text = f"What is {relation} the {anchor.name}?"
                found.append(Question(text, _it_is(name), "relation", name, there[0]))
    return found


def _count_questions(facts: Sequence[Fact]) -> list[Question]:
    found = []
    for name, number in Counter(f.name for f in facts).items():
        subject = next(i for i, f in enumerate(facts) if f.name == name) if number == 1 else None
        word = NUMBERS[number]
        found.append(Question(count_question(name), word, "count", word, subject))
    return found


def _single_questions(facts: Sequence[Fact]) -> list[Question]:
    names = Counter(f.name for f in facts)
    found = []
    for i, fact in enumerate(facts):
        if names[fact.name] > 1:
            continue
        colour = f"What color is the {fact.name}?"
        found.append(Question(colour, f"It is {fact.colour}.", "colour", fact.colour, i))
        where = place(fact.row, fact.column)
        word = position_word(fact.row, fact.column)
        found.append(Question(f"Where is the {fact.name}?", f"It is {where}.", "where", word, i))
    return found


def _kind_questions(facts: Sequence[Fact]) -> list[Question]:
    kinds = Counter(CLASSES[f.name].kind for f in facts)
    return [
        Question(f"What {kind} is in this image?", _it_is(f.name), "kind", f.name, i)
        for i, f in enumerate(facts)
        if (kind := CLASSES[f.name].kind) in _ASKABLE_KINDS and kinds[kind] == 1
    ]
