"""Task: what is asked about an object, and the registry of all that can be."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from retinoscope.registry import members, registered
from retinoscope.tasks.query import Query

LAST = 100
"""The place of a task that asks for none."""


@runtime_checkable
class Asked(Protocol):
    """What a task may know of the object that it asks about."""

    @property
    def class_name(self) -> str:
        """The object's class."""
        ...

    @property
    def question(self) -> str:
        """A question of the data whose answer is the object; "" without one."""
        ...

    @property
    def absent(self) -> str:
        """A class of the data that the image does not hold; "" without one."""
        ...


@dataclass(frozen=True)
class Unasked:
    """A query that can't be made of this object, and why."""

    task: str
    reason: str


Queries = Callable[..., Sequence[Query | Unasked]]
"""(object, tokenizer, always_a=whether "a" stands before a vowel too) -> its queries."""


@dataclass(frozen=True)
class Task:
    """One task; each is one file of `retinoscope.tasks` with a TASK constant.

    Attributes:
        name: what people type, and records hold.
        queries: makes the queries of an object, the controls behind, of an object that is an
            `Asked`.
        written: whether its texts are scored, not next tokens.
        place: where it stands among the others.
    """

    name: str
    queries: Queries
    written: bool = False
    place: float = LAST


@functools.cache
def tasks() -> Mapping[str, Task]:
    """Every task by name, in the order of the tables: ours, and what is installed beside.

    Raises:
        RegistrationError: one of somebody else's can't be had.
    """
    own = members("retinoscope.tasks", "TASK")
    every = sorted(registered("retinoscope.tasks", Task, own), key=lambda one: one.place)
    return {one.name: one for one in every}


def queries_of(
    names: Sequence[str], asked: Asked, tokenizer: Any, *, always_a: bool = False
) -> tuple[list[Query], list[Unasked]]:
    """What some tasks ask about an object, in the tasks' own order; and what they can't.

    Args:
        names: of the tasks.
        asked: the object.
        tokenizer: the model's.
        always_a: write "a" before a vowel too.
    """
    every = [
        one
        for task in tasks().values()
        if task.name in names
        for one in task.queries(asked, tokenizer, always_a=always_a)
    ]
    return (
        [one for one in every if isinstance(one, Query)],
        [one for one in every if isinstance(one, Unasked)],
    )
