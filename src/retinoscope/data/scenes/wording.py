"""Questions that need more than one look: counts, comparisons, neighbours, hops and chains.

They are made of the things of a layout, so that nothing is drawn to ask them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from retinoscope.data.samples import Step
from retinoscope.data.scenes.classes import CLASSES, with_article
from retinoscope.data.scenes.language import NUMBERS, count_question, place, position_word
from retinoscope.data.scenes.layouts import Thing

DIRECTIONS = {
    "directly left of": (-1, 0),
    "directly right of": (1, 0),
    "directly above": (0, -1),
    "directly below": (0, 1),
}
"""Words of the four directions and where they point, x to the right and y down."""

# Centres that are off a line by less lie on it, by more than the second off it; between the two
# nobody could tell, and nothing is asked.
_ALIGNED, _ASKEW = 12, 32


@dataclass(frozen=True)
class Asked:
    """A question with its answer and the way to it.

    Attributes:
        question: the question as it is put to a model.
        answer: the whole answer ("It is a dog.", "Two", "Yes").
        kind: a key of `FORMS`.
        word: the word of the answer that counts ("dog", "Two", "red", "top left").
        subject: index of the thing that the answer is about, None when there are several.
        steps: how the answer is found; their object ids are indices of the layout's things.
    """

    question: str
    answer: str
    kind: str
    word: str
    subject: int | None
    steps: tuple[Step, ...]

    @property
    def anchors(self) -> tuple[int, ...]:
        """Things that the question names and that are no part of the answer."""
        named = (i for step in self.steps if step.op == "select" for i in step.object_ids)
        return tuple(i for i in dict.fromkeys(named) if i != self.subject)


def neighbour(things: Sequence[Thing], anchor: int, direction: str) -> int | None:
    """The next thing in a direction; None where there is none or nobody could tell.

    Args:
        things: the layout's.
        anchor: index of the thing to start from.
        direction: a key of `DIRECTIONS`.
    """
    dx, dy = DIRECTIONS[direction]
    start = things[anchor]
    best: tuple[int, int] | None = None
    for i, thing in enumerate(things):
        along = (thing.x - start.x) * dx + (thing.y - start.y) * dy
        across = abs((thing.x - start.x) * dy + (thing.y - start.y) * dx)
        if i == anchor or along <= 0 or across >= _ASKEW:
            continue
        if across > _ALIGNED or along < 0.4 * (start.size + thing.size):
            return None
        if best is None or along < best[0]:
            best = along, i
    return best and best[1]


def _it_is(name: str) -> str:
    return f"It is {with_article(name)}."


def _single(things: Sequence[Thing]) -> Iterator[int]:
    """Things that are the only one of their class."""
    names = Counter(t.name for t in things)
    return (i for i, t in enumerate(things) if names[t.name] == 1)


def _members(things: Sequence[Thing], name: str) -> tuple[int, ...]:
    return tuple(i for i, t in enumerate(things) if t.name == name)


def _select(things: Sequence[Thing], name: str) -> Step:
    return Step("select", name, _members(things, name))


def _count(things: Sequence[Thing]) -> Iterator[Asked]:
    for name in dict.fromkeys(t.name for t in things):
        select = _select(things, name)
        ids = select.object_ids
        if len(ids) < len(NUMBERS):
            word = NUMBERS[len(ids)]
            steps = (select, Step("count", "", ids, (0,)))
            subject = ids[0] if len(ids) == 1 else None
            yield Asked(count_question(name), word, "count", word, subject, steps)


def _compare(things: Sequence[Thing]) -> Iterator[Asked]:
    counts = Counter(t.name for t in things)
    for one, other in permutations(counts, 2):
        if counts[one] == counts[other]:
            continue
        selects = _select(things, one), _select(things, other)
        steps = (
            *selects,
            Step("compare", "more", sum((s.object_ids for s in selects), ()), (0, 1)),
        )
        text = f"Are there more {CLASSES[one].plural} than {CLASSES[other].plural}?"
        word = "Yes" if counts[one] > counts[other] else "No"
        yield Asked(text, word, "compare", word, None, steps)


def _colour(things: Sequence[Thing]) -> Iterator[Asked]:
    for i in _single(things):
        paint = things[i].paint
        if paint is not None:
            steps = (_select(things, things[i].name), Step("query", "color", (i,), (0,)))
            text = f"What color is the {things[i].name}?"
            yield Asked(text, f"It is {paint}.", "colour", paint, i, steps)


def _same_class(things: Sequence[Thing]) -> Iterator[tuple[int, ...]]:
    """Painted things of one class that differ in colour and in their cell of the 3 x 3 grid."""
    for name in dict.fromkeys(t.name for t in things):
        ids = _members(things, name)
        cells = {(things[i].row, things[i].column) for i in ids}
        paints = {things[i].paint for i in ids} - {None}
        if len(ids) > 1 and len(cells) == len(paints) == len(ids):
            yield ids


def _colour_at(things: Sequence[Thing]) -> Iterator[Asked]:
    for ids in _same_class(things):
        for i in ids:
            thing = things[i]
            where = place(thing.row, thing.column)
            steps = (
                Step("select", thing.name, ids),
                Step("filter", where, (i,), (0,)),
                Step("query", "color", (i,), (1,)),
            )
            text = f"What color is the {thing.name} {where}?"
            yield Asked(text, f"It is {thing.paint}.", "colour_at", str(thing.paint), i, steps)


def _place_of(things: Sequence[Thing]) -> Iterator[Asked]:
    for ids in _same_class(things):
        for i in ids:
            thing = things[i]
            steps = (
                Step("select", thing.name, ids),
                Step("filter", str(thing.paint), (i,), (0,)),
                Step("query", "place", (i,), (1,)),
            )
            text = f"Where is the {thing.paint} {thing.name}?"
            answer = f"It is {place(thing.row, thing.column)}."
            word = position_word(thing.row, thing.column)
            yield Asked(text, answer, "place_of", word, i, steps)


def _adjacent(things: Sequence[Thing]) -> Iterator[Asked]:
    for direction in DIRECTIONS:
        for i in _single(things):
            j = neighbour(things, i, direction)
            if j is not None:
                steps = (
                    _select(things, things[i].name),
                    Step("relate", direction, (j,), (0,)),
                    Step("query", "name", (j,), (1,)),
                )
                name = things[j].name
                text = f"What is {direction} the {things[i].name}?"
                yield Asked(text, _it_is(name), "adjacent", name, j, steps)


def _between(things: Sequence[Thing]) -> Iterator[Asked]:
    single = set(_single(things))
    for direction in DIRECTIONS:
        for i in sorted(single):
            j = neighbour(things, i, direction)
            k = None if j is None else neighbour(things, j, direction)
            if j is None or k is None or k not in single:
                continue
            one, other = things[i].name, things[k].name
            steps = (
                _select(things, one),
                _select(things, other),
                Step("relate", "between", (j,), (0, 1)),
                Step("query", "name", (j,), (2,)),
            )
            name = things[j].name
            text = f"What is between the {one} and the {other}?"
            yield Asked(text, _it_is(name), "between", name, j, steps)


def _two_hop(things: Sequence[Thing]) -> Iterator[Asked]:
    for asked in _adjacent(things):
        assert asked.subject is not None, "a neighbour is one thing"
        paint = things[asked.subject].paint
        if paint is not None:
            select, relate, _ = asked.steps
            steps = (select, relate, Step("query", "color", (asked.subject,), (1,)))
            text = f"What color is the thing {relate.argument} the {select.argument}?"
            yield Asked(text, f"It is {paint}.", "two_hop", paint, asked.subject, steps)


def _chain(things: Sequence[Thing]) -> Iterator[Asked]:
    for asked in _adjacent(things):
        assert asked.subject is not None, "a neighbour is one thing"
        select, first, _ = asked.steps
        for direction in DIRECTIONS:
            k = neighbour(things, asked.subject, direction)
            if k is None or k in select.object_ids:
                continue
            steps = (
                select,
                first,
                Step("relate", direction, (k,), (1,)),
                Step("query", "name", (k,), (2,)),
            )
            name = things[k].name
            text = f"What is {direction} the thing {first.argument} the {select.argument}?"
            yield Asked(text, _it_is(name), "chain", name, k, steps)


MAKERS: dict[str, Callable[[Sequence[Thing]], Iterable[Asked]]] = {
    "count": _count,
    "compare": _compare,
    "colour": _colour,
    "colour_at": _colour_at,
    "place_of": _place_of,
    "adjacent": _adjacent,
    "between": _between,
    "two_hop": _two_hop,
    "chain": _chain,
}
"""By the kind of question, what finds every one that things answer."""
