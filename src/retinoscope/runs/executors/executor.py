"""Executor: does one job on each of many targets, wherever that may be."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import fields
from typing import Any, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from retinoscope.experiments.bench import Bench

T = TypeVar("T")
Result = TypeVar("Result")

Job = Callable[[Bench, T], Result]
"""Work on one target: a function of a module, or a `partial` of one, so that others can find it."""


@runtime_checkable
class Executor(Protocol):
    """Where work is done."""

    def map(
        self, job: Job[T, Result], targets: Iterable[T]
    ) -> Generator[tuple[T, Result], None, None]:
        """Do a job on each target: each with its result, in whatever order they come.

        Targets are taken as there is room for them, a few ahead of what has been asked for; those
        that are begun when the iterator is closed are dropped.

        Args:
            job: what is done.
            targets: small, frozen and different: places in the bench, or names.

        Raises:
            RunError: a process died.
        """
        ...

    def with_mean(self, mean: Float[Tensor, "*positions width"]) -> Executor:
        """The same place, where the model has a mean visual token from now on."""
        ...


def parts_of(bench: Bench) -> tuple[Any, ...]:
    """What a worker that loads the model itself needs beside it, in `Bench`'s order; no mean."""
    return tuple(getattr(bench, part.name) for part in fields(bench) if part.name != "checkpoint")


def in_order(
    executor: Executor, job: Job[T, Result], targets: Iterable[T]
) -> Generator[tuple[T, Result], None, None]:
    """As `Executor.map`, in the targets' own order."""
    order: deque[T] = deque()
    early: dict[T, Result] = {}

    def noted() -> Iterator[T]:
        for target in targets:
            order.append(target)
            yield target

    with closing(executor.map(job, noted())) as coming:
        for target, result in coming:
            early[target] = result
            while order and order[0] in early:
                first = order.popleft()
                yield first, early.pop(first)
