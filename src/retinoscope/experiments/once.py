"""What an experiment needs once for all objects of a run, measured once in a process and held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from retinoscope.data.selection import Candidate
from retinoscope.experiments.bench import Bench

Found = TypeVar("Found")


class OnceForRun(Generic[Found]):
    """Something that is the same for every object of a run, made when it is first asked for.

    It is held while the model lives, and made again for other candidates.
    """

    def __init__(self, make: Callable[[Bench[Any]], Found]) -> None:
        self._make = make
        self._held: WeakKeyDictionary[Any, tuple[Sequence[Candidate], Found]] = WeakKeyDictionary()

    def __call__(self, bench: Bench[Any]) -> Found:
        """What was made of this run."""
        model = bench.checkpoint.model
        known = self._held.get(model)
        if known is None or known[0] is not bench.candidates:
            known = bench.candidates, self._make(bench)
            self._held[model] = known
        return known[1]
