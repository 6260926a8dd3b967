"""What an experiment needs once for all objects of a run: measured once, and held."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from retinoscope.errors import RunError
from retinoscope.experiments.bench import Bench
from retinoscope.results.atomic import replacing

Found = TypeVar("Found")


class OnceForRun(Generic[Found]):
    """Something that is the same for every object of a run, made when it is first asked for.

    It is held by the model's checkpoint, and made again for other candidates. Processes that share
    a folder leave it to one another there; two that ask at the same time both make it.
    """

    def __init__(self, name: str, make: Callable[[Bench[Any]], Found]) -> None:
        """What `make` makes, in a file of this name where it is shared."""
        self._name, self._make = name, make

    def __call__(self, bench: Bench[Any]) -> Found:
        """What was made of this run."""
        held = bench.checkpoint.found
        known = held.get(self)
        if known is None or known[0] is not bench.candidates:
            known = bench.candidates, self._taken(bench)
            held[self] = known
        return known[1]

    def _taken(self, bench: Bench[Any]) -> Found:
        """Another process' if it left one, else our own, left to the others."""
        if bench.shared is None:
            return self._make(bench)
        path = bench.shared / f"{self._name}-{_identity(bench)}"
        if not path.exists():
            made = self._make(bench)
            # Without room for it the others make their own.
            with suppress(RunError), replacing(path) as stream:
                pickle.dump(made, stream)
            return made
        return pickle.loads(path.read_bytes())


def _identity(bench: Bench[Any]) -> str:
    ids = [(sample.image_id, one.object_id) for sample, one in bench.candidates]
    return hashlib.sha256(repr(ids).encode()).hexdigest()[:24]
