"""How objects print: every field in a few words, so that no object fills more than a screen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from typing import Any

LONGEST = 100
"""Characters of one value."""

NAMED = 8
"""Numbers or runs of numbers that are written out."""


def brief(value: Any) -> str:
    """One value in a few words: tensors and arrays by type and shape, long lists by their size."""
    shape, kind = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and kind is not None:
        return f"{str(kind).removeprefix('torch.')}{list(shape)}"
    if isinstance(value, str):
        return _cut(repr(value))
    if isinstance(value, Mapping):
        return _cut(f"{{{', '.join(f'{key!r}: ...' for key in value)}}}")
    if isinstance(value, tuple | list | set | frozenset) and not hasattr(value, "_fields"):
        return _collection(value)
    # A model's own repr takes long and is pages long.
    text = "\n" if hasattr(type(value), "named_parameters") else repr(value)
    return f"{type(value).__name__}(...)" if "\n" in text or len(text) > LONGEST else text


def brief_fields(self: Any) -> str:
    """A dataclass's repr with every field in a few words; meant as its `__repr__`."""
    named = (f"{one.name}={brief(getattr(self, one.name))}" for one in fields(self) if one.repr)
    return f"{type(self).__name__}({', '.join(named)})"


def runs(numbers: Collection[int], most: int = NAMED) -> str:
    """Whole numbers as runs, ascending: "5-28, 40, 52-60", the first ones and how many are left."""
    ordered = sorted(numbers)
    joined = [
        [number for _, number in members]
        for _, members in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])
    ]
    named = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in joined]
    more = f" and {len(named) - most} more runs" if len(named) > most else ""
    return ", ".join(named[:most]) + more


def _collection(values: Collection[Any]) -> str:
    start, end = {tuple: "()", list: "[]"}.get(type(values), "{}")
    if values and all(type(one) is int for one in values) and len(values) > NAMED:
        return f"{start}{len(values)} numbers: {_ends(list(values))}{end}"
    shown = [brief(one) for one in list(values)[:NAMED]]
    more = f", ... {len(values) - NAMED} more" if len(values) > NAMED else ""
    text = ", ".join(shown) + more
    return f"{start}{text if len(text) <= LONGEST else f'{len(values)} values'}{end}"


def _ends(numbers: Sequence[int]) -> str:
    first, last = numbers[: NAMED // 2], numbers[-2:]
    return f"{', '.join(map(str, first))}, ..., {', '.join(map(str, last))}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
