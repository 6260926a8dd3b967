"""Which questions in steps a layout is asked, and which are drawn.

A question is asked only where an
answerer who sees the picture but not which things the question names is right at most as often as
`FORMS` says.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from retinoscope.data.scenes.classes import CLASSES
from retinoscope.data.scenes.colour import COLOURS
from retinoscope.data.scenes.layouts import KINDS, Layout, LayoutKind
from retinoscope.data.scenes.wording import MAKERS, Asked

NEW_WORDS = ("Are", "more", "than", "directly", "between", "thing", "four", "five")
"""Words of these questions, and of captions of scenes with so many things, that the first
generation of scenes never says."""


@dataclass(frozen=True)
class Form:
    """A kind of question.

    Attributes:
        example: a question of the kind.
        text: how often an answerer who only reads the question may be right.
        blind: how often one who sees the picture may be right, if of the question it knows all
            but the names of things, colours and places.
        layouts: the kinds of layout that are asked it.
    """

    example: str
    text: float
    blind: float
    layouts: tuple[LayoutKind, ...] = KINDS


FORMS: dict[str, Form] = {
    "count": Form("How many dogs are there?", 0.25, 0.5, ("groups",)),
    "compare": Form("Are there more dogs than cats?", 0.5, 0.5),
    "colour": Form("What color is the dog?", 0.125, 0.5),
    "colour_at": Form("What color is the dog at the left?", 0.125, 0.5),
    "place_of": Form("Where is the red dog?", 0.15, 0.5),
    "adjacent": Form("What is directly left of the dog?", 0.05, 0.5),
    "between": Form("What is between the dog and the cat?", 0.05, 0.5),
    "two_hop": Form("What color is the thing directly left of the dog?", 0.125, 0.5),
    "chain": Form("What is directly above the thing directly left of the dog?", 0.05, 0.5),
}
"""The kinds of question with the rates that an audit holds them to."""

SHARES = {
    "count": 0.16,
    "compare": 0.12,
    "colour": 0.1,
    "colour_at": 0.08,
    "place_of": 0.08,
    "adjacent": 0.16,
    "between": 0.08,
    "two_hop": 0.14,
    "chain": 0.08,
}
"""How often each kind is drawn where a layout can be asked all of them."""


@runtime_checkable
class Worded(Protocol):
    """What an audit needs of a question: `Asked`, and those of the first generation, have it."""

    @property
    def question(self) -> str: ...  # noqa: D102
    @property
    def answer(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102


def ask(layout: Layout, forms: dict[str, Form] = FORMS) -> list[Asked]:
    """List every question that a layout answers and that can't be guessed too well.

    Args:
        layout: the things.
        forms: which kinds, and how well questions that differ in names alone may be guessed.

    Returns:
        Questions in a fixed order.
    """
    found: list[Asked] = []
    for kind, form in forms.items():
        groups: defaultdict[str, list[Asked]] = defaultdict(list)
        if layout.kind not in form.layouts:
            continue
        for asked in MAKERS[kind](layout.things):
            groups[blank(asked.question)].append(asked)
        for group in groups.values():
            if blind_rate(group) <= form.blind:
                found += group
    return found


def draw_questions(
    layout: Layout, count: int, rng: np.random.Generator, shares: dict[str, float] = SHARES
) -> list[Asked]:
    """Draw questions about a layout: first the kind by its share, then one of the kind.

    Args:
        layout: the things.
        count: how many; fewer where the layout can't be asked so many, none twice.
        rng: source of every choice.
        shares: weight of each kind; kinds that are missing are not asked.
    """
    listed: defaultdict[str, list[Asked]] = defaultdict(list)
    for asked in ask(layout, {kind: FORMS[kind] for kind in shares}):
        listed[asked.kind].append(asked)
    drawn: list[Asked] = []
    while len(drawn) < count and listed:
        kinds = list(listed)
        weights = np.array([shares[kind] for kind in kinds])
        kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
        drawn.append(listed[kind].pop(rng.integers(len(listed[kind]))))
        if not listed[kind]:
            del listed[kind]
    return drawn


_NAMES = "|".join(
    [
        *(rf"{c.plural}|{c.name}" for c in CLASSES.values()),
        *COLOURS,
        r"at the [a-z]+(?: (?:left|right))?",
        "in the center",
    ]
)
_BLANKED = re.compile(rf"\b(?:{_NAMES})\b")


def blank(question: str) -> str:
    """Put "_" for every class, colour and place that a question names."""
    return _BLANKED.sub("_", question)


def blind_rate(group: Sequence[Worded]) -> float:
    """How often the best guess is right at questions that are alike but for the names in them."""
    return max(Counter(asked.answer for asked in group).values()) / len(group)
