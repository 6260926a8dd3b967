"""The pieces of work, as plain data that every tool can carry out in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.subject import Subject


@dataclass(frozen=True)
class Cut:
    """Queries that must not read keys, in some layers and heads (None is all)."""

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    layers: tuple[int, ...]
    heads: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Exchange:
    """States put in from the run on the other image (`Subject.other`).

    Attributes:
        positions: where.
        layer: of the residual stream, what enters the layer; of a head, the layer it is in.
        head: the query head whose output before the projection is exchanged; None for the stream.
    """

    positions: tuple[int, ...]
    layer: int
    head: int | None = None


@dataclass(frozen=True)
class Change:
    """One condition: edges cut, tokens replaced by the image's mean one, or states exchanged."""

    cut: Cut | None = None
    ablate: tuple[int, ...] = ()
    exchange: Exchange | None = None


Kind = Literal["next token", "captions", "lens", "gradients"]


@dataclass(frozen=True)
class Work:
    """One piece of work.

    Attributes:
        key: its letter in the table.
        title: what is done.
        kind: which of a tool's functions does it.
        changes: the conditions.
        tokens: tokens of each caption.
        gap: completeness gap that integrated gradients must reach, as a share of the difference;
            0 is the one that the plain way leaves.
    """

    key: str
    title: str
    kind: Kind
    changes: tuple[Change, ...] = ()
    tokens: int = 0
    gap: float = 0


LENS_TOP = 5
EVEN = 50
"""Even points from end to end at which the paper's code takes gradients."""
EXPLAINED = 7
"""The token whose logit is explained."""


def works(subject: Subject, tokens: int = 60) -> dict[str, Work]:
    """All pieces of work for one subject, by letter."""
    last, every = (subject.length - 1,), tuple(range(subject.layers))
    groups = _groups(subject.visual, 40)
    row = tuple(subject.visual[-subject.side :])
    middle = every[len(every) // 4 : 3 * len(every) // 4]
    one = groups[len(groups) // 2]
    cuts = {
        ("a", "knockout into the last position"): [Cut(last, g, every) for g in groups],
        ("b", "knockout into the last position, layer by layer"): [
            Cut(last, g, (layer,)) for layer in every for g in groups
        ],
        ("c", "knockout into the last visual row"): [
            Cut(row, g, middle) for g in groups if g[-1] < row[0]
        ],
        ("h", "knockout head by head, layer by layer"): [
            Cut(last, one, (layer,), (head,)) for layer in every for head in range(subject.heads)
        ],
    }
    found = [
        Work(key, title, "next token", tuple(Change(cut=cut) for cut in chosen))
        for (key, title), chosen in cuts.items()
    ]
    boxes = tuple(Change(ablate=box) for box in _boxes(subject, 20))
    behind = range(subject.visual[-1] + 1, subject.length)
    exchanges = {
        ("i", "patching from another image into the text, position by layer"): [
            Exchange((position,), layer) for position in behind for layer in every[1:]
        ],
        ("j", "patching from another image into visual tokens, group by layer"): [
            Exchange(group, layer) for group in groups for layer in every[1:]
        ],
        ("k", "patching one head from another image, at the last position"): [
            Exchange(last, layer, head) for layer in every for head in range(subject.heads)
        ],
    }
    found += [
        Work(key, title, "next token", tuple(Change(exchange=one) for one in chosen))
        for (key, title), chosen in exchanges.items()
    ]
    found += [
        Work("d", "ablation of a box", "next token", boxes),
        Work("e", f"caption of {tokens} tokens, box ablated", "captions", boxes, tokens),
        Work("f", "logit lens, all layers and visual tokens", "lens"),
        Work("g", f"integrated gradients, at the gap of {EVEN} even points", "gradients"),
        Work("g2", "integrated gradients, at a gap of 1% by midpoints", "gradients", gap=0.01),
    ]
    return {work.key: work for work in sorted(found, key=lambda work: work.key)}


def sampled(changes: Sequence[Change], count: int) -> list[int]:
    """Evenly spaced conditions, for tools that would take hours over all."""
    if len(changes) <= count:
        return list(range(len(changes)))
    return [index * len(changes) // count for index in range(count)]


def _groups(visual: list[int], count: int) -> list[tuple[int, ...]]:
    size = max(1, len(visual) // count)
    groups = [tuple(visual[at : at + size]) for at in range(0, size * count, size)]
    return [group for group in groups if group]


def _boxes(subject: Subject, count: int) -> list[tuple[int, ...]]:
    """Boxes a sixth of the image high and a quarter wide, from its top to its bottom."""
    side = subject.side
    high, wide, left = max(1, side // 6), max(1, side // 4), side // 3
    tops = [index * (side - high) // (count - 1) for index in range(count)]
    return [
        tuple(
            subject.visual[side * (top + down) + left + right]
            for down in range(high)
            for right in range(wide)
        )
        for top in tops
    ]
