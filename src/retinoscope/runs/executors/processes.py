"""The work of a run done in several processes of this machine.

The tensors of one object are small for many threads, so that on a CPU a process for each core gets
more done than one process with all of them, once there are objects enough to make up for its start
(benchmarks/README.md has the times).
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.errors import RunError
from retinoscope.experiments.bench import Bench
from retinoscope.models import Checkpoint
from retinoscope.runs.executors.executor import Executor, Job, Result, T, parts_of
from retinoscope.worker import worker_pool

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
    with worker_pool(count) as (pool, folder):
        given = folder / "bench"
        given.write_bytes(pickle.dumps((threads, reopen, parts_of(bench))))
        yield _Processes(pool, given, AHEAD * count)


@dataclass(frozen=True)
class _Processes:
    """Does jobs in a pool.

    Attributes:
        pool: the workers.
        given: file of what they need.
        ahead: targets that are given out at a time.
        mean: file of the mean visual token, where it is known.
    """

    pool: ProcessPoolExecutor
    given: Path
    ahead: int
    mean: Path | None = None

    def with_mean(self, mean: Float[Tensor, "*positions width"]) -> _Processes:
        """As `Executor.with_mean`."""
        content = pickle.dumps(mean.cpu())
        # Workers remember a mean by its file: another mean is another file.
        path = self.given.with_name(f"mean-{sha256(content).hexdigest()}")
        path.write_bytes(content)
        return replace(self, mean=path)

    def map(
        self, job: Job[T, Result], targets: Iterable[T]
    ) -> Generator[tuple[T, Result], None, None]:
        """As `Executor.map`."""
        coming = iter(targets)
        begun: dict[Future[Result], T] = {}
        try:
            while True:
                for target in islice(coming, self.ahead - len(begun)):
                    begun[self.pool.submit(_do, self.given, self.mean, job, target)] = target
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


@cache
def _bench(given: Path, mean: Path | None) -> Bench:
    """What measuring needs, made by the first job, so that what is wrong is told as any error."""
    if mean is not None:
        return _bench(given, None).with_mean(pickle.loads(mean.read_bytes()))
    threads, reopen, parts = pickle.loads(given.read_bytes())
    torch.set_num_threads(threads)
    return replace(Bench(reopen(), *parts), shared=given.parent)


def _do(given: Path, mean: Path | None, job: Job[T, Result], target: T) -> Result:
    return job(_bench(given, mean), target)
