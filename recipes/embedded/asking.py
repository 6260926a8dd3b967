"""Draw exchanges about a scene: what is asked how often, and what each question names and seeks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from recipes.embedded.rows import Asked
from recipes.embedded.words import pieces
from retinoscope.data.scenes.asking import ask
from retinoscope.data.scenes.classes import CLASSES, NAMES, THEMES
from retinoscope.data.scenes.language import (
    DESCRIBE,
    NUMBERS,
    Fact,
    caption,
    count_question,
    poll_question,
    questions,
)
from retinoscope.data.scenes.layouts import Layout

KINDS = (
    "describe",
    "poll",
    "position",
    "relation",
    "count",
    "count_several",
    "colour",
    "where",
    "kind",
    "painted",
    "colour_at",
    "place_of",
    "compare",
    "adjacent",
    "between",
    "two_hop",
    "chain",
)
"""Every kind of exchange, in the order of their numbers. "count_several" are the counts whose
answer is two or more; "painted" are the questions about the colour of a thing that was painted."""
DESCRIPTIONS = (DESCRIBE, DESCRIBE, DESCRIBE, "What is in this image?", "What do you see?")
# How often each kind of exchange is trained, among those that a scene can be asked.
SHARES = {
    "describe": 0.1,
    "poll": 0.07,
    "position": 0.12,
    "relation": 0.13,
    "count": 0.4,
    "colour": 0.04,
    "where": 0.05,
    "kind": 0.02,
    "painted": 0.3,
    "colour_at": 0.7,
    "place_of": 0.5,
    "compare": 0.35,
    "adjacent": 0.5,
    "between": 0.7,
    "two_hop": 1.0,
    "chain": 0.3,
}
# Of the polls about what is not there, so many ask for a class of a theme of what is.
LIKELY = 0.5
# Of the questions that count, so many count what is not there; of the rest, so many count several
# where there are several.
NONE, SEVERAL = 0.1, 0.7
COLOURED = ("colour", "painted", "colour_at", "place_of", "two_hop")
"""Kinds that change with the colours of an image."""
AGAIN = 2
"""So often a question that was drawn before is drawn anew."""
ARRANGED_WITHOUT = ("relation", "count", "colour")
"""Kinds of the first generation that arranged scenes are not asked: they have better ones."""


def kind_number(kind: str, answer: str) -> int:
    """Return the number of a kind; counts of two or more have their own."""
    several = kind == "count" and answer not in NUMBERS[:2]
    return KINDS.index("count_several" if several else kind)


class Asker:
    """Draws exchanges about one scene."""

    def __init__(
        self,
        facts: Sequence[Fact],
        shares: dict[str, float] = SHARES,
        numbers: Sequence[int] | None = None,
        layout: Layout | None = None,
    ) -> None:
        """List what can be asked.

        Args:
            facts: the things of a scene.
            shares: how often each kind is drawn.
            numbers: the things' numbers in the scene; None for all of them in their order.
            layout: of the same things, where they were arranged.
        """
        self.facts, self.shares = list(facts), shares
        self.numbers = list(range(len(facts))) if numbers is None else list(numbers)
        self.listed: dict[str, list[Asked]] = {}
        for q in questions(self.facts):
            if layout is not None and q.kind in ARRANGED_WITHOUT:
                continue
            sought = 0 if q.subject is None else 1 << self.numbers[q.subject]
            asked = self._asked(q.question, q.answer, q.kind, sought)
            self.listed.setdefault(q.kind, []).append(asked)
        for q in ask(layout) if layout is not None else ():
            sought = 0 if q.subject is None else 1 << self.numbers[q.subject]
            selected = {i for step in q.steps if step.op == "select" for i in step.object_ids}
            named = sum(1 << self.numbers[i] for i in selected)
            kind = "painted" if q.kind == "colour" else q.kind
            asked = Asked(q.question, q.answer, kind_number(kind, q.answer), named, sought)
            self.listed.setdefault(kind, []).append(asked)
        self.there = sorted({f.name for f in self.facts})
        self.absent = [name for name in NAMES if name not in self.there]

    def _asked(self, question: str, answer: str, kind: str, sought: int = 0) -> Asked:
        words = set(pieces(question))
        named = sum(
            1 << number
            for number, f in zip(self.numbers, self.facts, strict=True)
            if words & {f.name, CLASSES[f.name].plural}
        )
        return Asked(question, answer, kind_number(kind, answer), named, sought)

    def drawing(
        self,
        rng: np.random.Generator,
        without: Sequence[str] = (),
        denied: Sequence[str] = (),
    ) -> Callable[[], Asked | None]:
        """Return a function that draws one exchange at each call.

        Args:
            rng: source of every choice.
            without: kinds that are left out.
            denied: classes that were lost from the scene: the first exchanges are polls about
                them, whose answer is no.
        """
        usable = [
            k
            for k in self.shares
            if k not in without
            and (k in self.listed or k == "poll" or (k == "describe" and self.facts))
        ]
        ends = np.cumsum([self.shares[k] for k in usable])
        first = [self._asked(poll_question(n), "No", "poll") for n in denied if n in self.absent]
        present = rng.random() < 0.5

        said: set[str] = set()

        def draw() -> Asked | None:
            if first:
                return first.pop()
            if not self.facts:
                return None
            asked = draw_any()
            for _ in range(AGAIN):
                if asked.question not in said:
                    break
                asked = draw_any()
            said.add(asked.question)
            return asked

        def draw_any() -> Asked:
            nonlocal present
            kind = usable[int(np.searchsorted(ends, rng.random() * ends[-1], "right"))]
            if kind == "poll":
                present = not present
                return self._poll(present, rng)
            if kind == "describe":
                prompt = DESCRIPTIONS[rng.integers(len(DESCRIPTIONS))]
                return self._asked(prompt, caption(self.facts, rng), kind)
            if kind == "count":
                return self._count(rng)
            fitting = self.listed[kind]
            return fitting[rng.integers(len(fitting))]

        return draw

    def _poll(self, present: bool, rng: np.random.Generator) -> Asked:
        if present:
            name = self.there[rng.integers(len(self.there))]
            return self._asked(poll_question(name), "Yes", "poll")
        pool = self.absent
        if rng.random() < LIKELY:
            themes = [names for names in THEMES.values() if self.there[0] in names]
            likely = [n for n in themes[rng.integers(len(themes))] if n in self.absent]
            pool = likely or pool
        return self._asked(poll_question(pool[rng.integers(len(pool))]), "No", "poll")

    def _count(self, rng: np.random.Generator) -> Asked:
        if rng.random() < NONE:
            name = self.absent[rng.integers(len(self.absent))]
            return self._asked(count_question(name), NUMBERS[0], "count")
        fitting = self.listed["count"]
        several = [asked for asked in fitting if asked.answer != NUMBERS[1]]
        if several and rng.random() < SEVERAL:
            fitting = several
        return fitting[rng.integers(len(fitting))]
