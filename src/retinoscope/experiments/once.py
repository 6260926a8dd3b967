"""What an experiment needs once for all objects of a run, measured once in a process and held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from retinoscope.experiments.bench import Bench

Found = TypeVar("Found")


class OnceForRun(Generic[Found]):
    """Something that is the same for every object of a run, made when it is first asked for.

    It is held by the model's checkpoint, and made again for other candidates.
    """

    def __init__(self, make: Callable[[Bench[Any]], Found]) -> None:
        self._make = make

    def __call__(self, bench: Bench[Any]) -> Found:
        """What was made of this run."""
        held = bench.checkpoint.found
        known = held.get(self)
        if known is None or known[0] is not bench.candidates:
            known = bench.candidates, self._make(bench)
            held[self] = known
        return known[1]
