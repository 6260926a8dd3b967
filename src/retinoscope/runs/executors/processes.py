"""The work of a run done in several processes of this machine.

The tensors of one object are small for many threads, so that on a CPU a process for each core gets
more done than one process with all of them, once there are objects enough to make up for its start
(benchmarks/README.md has the times).

The pool is the standard library's. Two things are added. What the workers need is read by them from
a file: multiprocessing writes it into a pipe to a process that is starting, and waits there for
ever if that process dies before it has read all. And every worker watches a pipe that nobody writes
to: when its other end closes, since this process ended, however it ended, the worker ends too.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import torch

from retinoscope.errors import RunError
from retinoscope.experiments.bench import Bench
from retinoscope.models import Checkpoint
from retinoscope.models.vision import shared_vision
from retinoscope.runs.executors.executor import Executor, Job, Result, T

AHEAD = 2
"""Targets that each worker is given ahead of what has been asked for."""


@contextmanager
def processes(bench: Bench, count: int, reopen: Callable[[], Checkpoint]) -> Iterator[Executor]:
    """Inside, jobs are done by a number of processes, which end with this one.

    Args:
        bench: what measuring needs.
        count: number of processes.
        reopen: loads the same model anew, its mean aside, in each worker.
    """
    threads = max(1, torch.get_num_threads() // count)
    context = get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    with TemporaryDirectory(prefix="retinoscope-") as folder:
        given = Path(folder) / "bench"
        parts = (bench.checkpoint.mean, bench.categories, bench.candidates, bench.settings)
        given.write_bytes(pickle.dumps((*parts, bench.own, bench.apart)))
        arguments = (threads, watched, given, reopen)
        pool = ProcessPoolExecutor(count, context, _begin, arguments)
        try:
            yield _Processes(pool, AHEAD * count)
        except BaseException:
            # What is begun is of no use any more; nobody waits for it.
            held.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            held.close()
            watched.close()


@dataclass(frozen=True)
class _Processes:
    """Does jobs in a pool.

    Attributes:
        pool: the workers.
        ahead: targets that are given out at a time.
    """

    pool: ProcessPoolExecutor
    ahead: int

    def map(
        self, job: Job[T, Result], targets: Iterable[T]
    ) -> Generator[tuple[T, Result], None, None]:
        """As `Executor.map`."""
        coming = iter(targets)
        begun: dict[Future[Result], T] = {}
        try:
            while True:
                for target in islice(coming, self.ahead - len(begun)):
                    begun[self.pool.submit(_do, job, target)] = target
                if not begun:
                    return
                ended, _ = wait(begun, return_when=FIRST_COMPLETED)
                for future in ended:
                    yield begun.pop(future), future.result()
        except BrokenProcessPool as error:
            raise RunError(
                "A worker process died, most often because memory ran out. What was measured is "
                "kept; the same command with --workers 1 goes on from there."
            ) from error
        finally:
            for future in begun:
                future.cancel()


_begun: list[Any] = []
"""How this process makes its bench, then the bench; empty where it is no worker."""


def _begin(
    threads: int, watched: Connection, given: Path, reopen: Callable[[], Checkpoint]
) -> None:
    """Get ready in a new process. Signals are for the process that asks, and tells by the pipe."""
    Thread(target=_end_with_parent, args=(watched, given), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(threads)
    _begun.extend([given, reopen])


def _end_with_parent(watched: Connection, given: Path) -> None:
    try:
        watched.recv_bytes()
    except (EOFError, OSError):
        given.unlink(missing_ok=True)
        os._exit(1)


def _do(job: Job[T, Result], target: T) -> Result:
    # The model is opened by the first job, so that what is wrong with it is told as any error.
    if len(_begun) == 2:
        given, reopen = _begun
        mean, *parts = pickle.loads(given.read_bytes())
        _begun[:] = [Bench(replace(reopen(), mean=mean), *parts)]
    (bench,) = _begun
    with shared_vision(bench.checkpoint):
        return job(bench, target)
