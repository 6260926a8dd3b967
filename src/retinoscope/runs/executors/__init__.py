"""Executors: where the work of a run is done. A run's driver knows `Executor.map` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from retinoscope.experiments.bench import Bench
from retinoscope.models import Checkpoint
from retinoscope.runs.executors.executor import Executor, in_order
from retinoscope.runs.executors.inline import Inline
from retinoscope.runs.executors.on_ray import on_ray
from retinoscope.runs.executors.processes import processes

__all__ = ["Executor", "executing", "in_order"]


@contextmanager
def executing(
    bench: Bench, workers: int | None, reopen: Callable[[], Checkpoint], on: str | None = None
) -> Iterator[Executor]:
    """Inside, work is done in this process (one worker), in several, or by a Ray cluster.

    Args:
        bench: what measuring needs.
        workers: number of processes or actors; None is as many as the cluster has places for.
        reopen: loads the same model anew, its mean aside, in each worker: a transformers model
            that was sent to another process doesn't work there.
        on: "ray" or "ray:ADDRESS"; None is this machine without it.
    """
    if on is not None:
        place = on_ray(bench, on.partition(":")[2], workers, reopen)
    elif workers is not None and workers > 1:
        place = processes(bench, workers, reopen)
    else:
        place = nullcontext(Inline(bench))
    mean = bench.checkpoint.mean
    with place as executor:
        yield executor if mean is None else executor.with_mean(mean)
