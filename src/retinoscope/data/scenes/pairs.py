"""Minimal pairs: a layout changed in one respect, in which the same question is asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Literal

import numpy as np

from retinoscope.data.scenes.arrange import MOST, spread
from retinoscope.data.scenes.asking import FORMS, Asked, ask
from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.layout import SIZE
from retinoscope.data.scenes.layouts import Layout, Thing
from retinoscope.data.scenes.paint import PAINTS
from retinoscope.errors import DataError

Change = Literal["mirror", "move", "exchange", "repaint", "add", "plus", "minus"]

_NAMED = 2
"""Most things that are moved at once."""


@dataclass(frozen=True)
class MinimalPair:
    """A layout and its question beside a changed layout and the same question.

    Attributes:
        change: what was changed.
        layout, asked: before.
        changed, asked_again: after; the words of the question are the same.
    """

    change: Change
    layout: Layout
    asked: Asked
    changed: Layout
    asked_again: Asked

    @property
    def answer_changes(self) -> bool:
        """Whether the right answer is another one; after "add" it never is."""
        return self.asked.answer != self.asked_again.answer


def mirror(layout: Layout) -> Layout:
    """Left and right exchanged: every thing, as it is drawn, stands at the mirrored place."""
    things = [replace(t, x=SIZE - t.x) for t in layout.things]
    return replace(layout, things=tuple(things))


def swap_places(layout: Layout, one: int, other: int) -> Layout:
    """Two things exchange their places, and keep class, colour and size."""
    a, b = layout.things[one], layout.things[other]
    return _with(layout, {one: replace(a, x=b.x, y=b.y), other: replace(b, x=a.x, y=a.y)})


def swap_classes(layout: Layout, one: str, other: str) -> Layout:
    """All things of one class become the other's and the reverse; nothing else changes."""
    names = {one: other, other: one}
    things = [replace(t, name=names.get(t.name, t.name)) for t in layout.things]
    return replace(layout, things=tuple(things))


def repaint_thing(layout: Layout, index: int, paint: str) -> Layout:
    """One thing has another colour: the scene's colour twin.

    Raises:
        DataError: the paint is unknown.
    """
    if paint not in PAINTS:
        raise DataError(f"paint {paint!r} is unknown; use one of {', '.join(PAINTS)}")
    return _with(layout, {index: replace(layout.things[index], paint=paint)})


def add_thing(layout: Layout, name: str, rng: np.random.Generator) -> Layout:
    """One more thing of a class, in its own colours, somewhere apart from the others.

    Raises:
        DataError: there is no room.
    """
    if len(layout.things) >= MOST:
        raise DataError(f"a scene holds {MOST} things at most; this one has them")
    added = spread([name], [None], (0.0,), rng, layout.things)
    return replace(layout, things=(*layout.things, *added))


def remove_thing(layout: Layout, index: int) -> Layout:
    """The same scene without one thing."""
    return replace(layout, things=layout.things[:index] + layout.things[index + 1 :])


def minimal_pairs(layout: Layout, asked: Asked, rng: np.random.Generator) -> list[MinimalPair]:
    """Change a layout in every way that leaves the question askable.

    - "mirror": left and right are exchanged.
    - "move": the one or two things that the question names exchange places with others.
    - "exchange": the classes that the question names are exchanged with others, in a comparison
      with each other.
    - "repaint": what the answer is about gets another colour.
    - "add": a thing that the question is not about comes in; the answer stays.
    - "plus", "minus": one more or one less of the class that is counted.

    All but "add" are listed only where the answer changes.

    Args:
        layout: a layout.
        asked: one of its questions.
        rng: chooses among equals.

    Returns:
        At most one pair of each change.
    """
    found = []
    form = {asked.kind: FORMS[asked.kind]}
    for change, changes in _CHANGES.items():
        for changed in changes(layout, asked, rng):
            again = next((q for q in ask(changed, form) if q.question == asked.question), None)
            if again is not None and (again.answer == asked.answer) == (change == "add"):
                found.append(MinimalPair(change, layout, asked, changed, again))
                break
    return found


def _with(layout: Layout, new: dict[int, Thing]) -> Layout:
    return replace(layout, things=tuple(new.get(i, t) for i, t in enumerate(layout.things)))


def _mirrored(layout: Layout, asked: Asked, rng: np.random.Generator) -> Iterator[Layout]:
    yield mirror(layout)


def _moved(layout: Layout, asked: Asked, rng: np.random.Generator) -> Iterator[Layout]:
    unnamed = [i for i in range(len(layout.things)) if i not in asked.anchors]
    if len(asked.anchors) <= _NAMED:
        for others in _orders(unnamed, len(asked.anchors), rng):
            changed = layout
            for anchor, other in zip(asked.anchors, others, strict=True):
                changed = swap_places(changed, anchor, other)
            yield changed


def _exchanged(layout: Layout, asked: Asked, rng: np.random.Generator) -> Iterator[Layout]:
    named = [step.argument for step in asked.steps if step.op == "select"]
    if asked.kind == "compare":
        yield swap_classes(layout, *named)
    present = list(dict.fromkeys(t.name for t in layout.things))
    for others in _orders([name for name in present if name not in named], len(named), rng):
        changed = layout
        for one, other in zip(named, others, strict=True):
            changed = swap_classes(changed, one, other)
        yield changed


def _orders(listed: list, count: int, rng: np.random.Generator) -> list[tuple]:
    """Every choice of so many of a list, in a random order."""
    orders = list(permutations(listed, count))
    return [orders[i] for i in rng.permutation(len(orders))]


def _repainted(layout: Layout, asked: Asked, rng: np.random.Generator) -> Iterator[Layout]:
    if asked.subject is not None:
        used = {t.paint for t in layout.things}
        free = [paint for paint in PAINTS if paint not in used]
        yield repaint_thing(layout, asked.subject, free[rng.integers(len(free))])


def _added(layout: Layout, asked: Asked, rng: np.random.Generator) -> Iterator[Layout]:
    if len(layout.things) < MOST:
        absent = [n for n in NAMES if n not in {t.name for t in layout.things}]
        for _ in range(4):
            yield from _roomy(layout, absent[rng.integers(len(absent))], rng)


def _more(layout: Layout, asked: Asked, rng: np.random.Generator) -> Iterator[Layout]:
    if asked.kind == "count" and len(layout.things) < MOST:
        yield from _roomy(layout, asked.steps[0].argument, rng)


def _fewer(layout: Layout, asked: Asked, rng: np.random.Generator) -> Iterator[Layout]:
    if asked.kind == "count" and len(ids := asked.steps[0].object_ids) > 1:
        yield remove_thing(layout, ids[rng.integers(len(ids))])


def _roomy(layout: Layout, name: str, rng: np.random.Generator) -> Iterator[Layout]:
    """The layout with one more thing, nothing where there is no room."""
    try:
        yield add_thing(layout, name, rng)
    except DataError:
        return


_CHANGES: dict[Change, Callable[[Layout, Asked, np.random.Generator], Iterator[Layout]]] = {
    "mirror": _mirrored,
    "move": _moved,
    "exchange": _exchanged,
    "repaint": _repainted,
    "add": _added,
    "plus": _more,
    "minus": _fewer,
}
