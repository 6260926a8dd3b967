"""Workers: the objects of a run measured in several processes, told of in their order.

The tensors of one object are small for many threads, so that on a CPU a process for each core gets
more done than one process with all of them, once there are objects enough to make up for its start
(benchmarks/README.md has the times).
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

import torch
from torch import Tensor

from retinoscope.data.selection import Candidate
from retinoscope.errors import RunError
from retinoscope.experiments.bench import Bench
from retinoscope.models import Checkpoint
from retinoscope.models.vision import shared_vision

AHEAD = 2
"""Objects that each worker is given ahead of what has been asked for."""

Result = TypeVar("Result")


Job = Callable[[Bench, Candidate], Result]
"""Measures one object; a function of a module, so that another process can find it."""

Each = Callable[[Job, Iterable[Candidate]], Iterator]
"""Does a job on each of some objects: the results in the objects' order, as they are wanted."""


@contextmanager
def working(bench: Bench, count: int, reopen: Callable[[], Checkpoint]) -> Iterator[Each]:
    """Inside, jobs are done in this process (count 1) or in several.

    Args:
        bench: what measuring needs in this process.
        count: number of processes.
        reopen: loads the same model anew, its mean aside, in each worker: a transformers model
            that was sent to another process doesn't work there.

    Yields:
        Does a job on each object. Results come in the objects' order; a few objects are begun
        ahead, and dropped where they are not asked for any more.

    Raises:
        RunError: a worker died.
    """
    if count == 1:
        with shared_vision(bench.checkpoint):
            yield lambda job, candidates: (job(bench, one) for one in candidates)
        return
    threads = max(1, torch.get_num_threads() // count)
    parts = (bench.checkpoint.mean, bench.categories, bench.candidates, bench.settings, bench.own)
    pool = ProcessPoolExecutor(count, get_context("spawn"), _begin, (threads, reopen, *parts))
    try:
        yield partial(_in_order, pool, AHEAD * count)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, ahead: int, job: Job[Result], pairs: Iterable[Candidate]
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    coming = iter(pairs)
    try:
        while True:
            while len(waiting) < ahead and (pair := next(coming, None)) is not None:
                waiting.append(pool.submit(_do, job, pair))
            if not waiting:
                return
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RunError(
            "A worker process died, most often because memory ran out. What was measured is kept; "
            "the same command with --workers 1 goes on from there."
        ) from error
    finally:
        for future in waiting:
            future.cancel()


_begun: list[Bench] = []
"""This process's bench; empty where it is no worker."""


def _begin(
    threads: int, reopen: Callable[[], Checkpoint], mean: Tensor | None, *given: Any
) -> None:
    """Get ready in a new process; Ctrl-C is for the process that asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    _begun.append(Bench(replace(reopen(), mean=mean), *given))


def _do(job: Job[Result], pair: Candidate) -> Result:
    with shared_vision(_begun[0].checkpoint):
        return job(_begun[0], pair)
