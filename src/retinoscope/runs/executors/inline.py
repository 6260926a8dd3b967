"""The work of a run done in this process, one target after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from retinoscope.experiments.bench import Bench
from retinoscope.runs.executors.executor import Job, Result, T


@dataclass(frozen=True)
class Inline:
    """Does each target's job when its result is asked for.

    Attributes:
        bench: what measuring needs.
    """

    bench: Bench

    def map(
        self, job: Job[T, Result], targets: Iterable[T]
    ) -> Generator[tuple[T, Result], None, None]:
        """As `Executor.map`, in the targets' order."""
        for target in targets:
            yield target, job(self.bench, target)

    def with_mean(self, mean: Float[Tensor, "*positions width"]) -> Inline:
        """As `Executor.with_mean`."""
        return Inline(self.bench.with_mean(mean))
