"""The work of a run done by actors of a Ray cluster: one for each GPU, or each group of cores.

Every actor loads the model once and is given small targets, two at a time. An actor or a whole node
that dies loses nothing: its targets go to the others, and another actor is started where there is
room. An actor is given targets only once its model is loaded, so that one that waits for a place in
the cluster keeps nothing from being done.
"""

from __future__ import annotations

import os
import socket
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.errors import RunError
from retinoscope.experiments.bench import Bench
from retinoscope.models import Checkpoint
from retinoscope.runs.executors.executor import Executor, Job, Result, T, parts_of

AHEAD = 2
"""Targets that each actor is given at a time: one to do, and the next."""

DEATHS = 10
"""Actors that may die over one target, or while they start one after the other."""

PATIENCE = 1800.0
"""Seconds in which no actor says anything, after which the cluster is taken to have no place."""


@contextmanager
def on_ray(
    bench: Bench, address: str, workers: int | None, reopen: Callable[[], Checkpoint]
) -> Iterator[Executor]:
    """Inside, jobs are done by actors of a cluster.

    Args:
        bench: what measuring needs.
        address: of a running cluster, such as "10.0.0.1:6379" or "auto"; "" starts one on this
            machine, which ends with the block.
        workers: how many actors; None is one for each GPU of the cluster, or each core where it
            has none.
        reopen: loads the same model anew, its mean aside, in each actor.

    Raises:
        RunError: Ray is not installed, or there is no such cluster.
    """
    ray = _ray()
    # Ray reports how it is used to its makers, unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    begun = not ray.is_initialized()
    if begun:
        given = (
            {"address": address} if address else {"address": "local", "include_dashboard": False}
        )
        try:
            if "://" not in address and ":" in address:
                # Ray itself would go on trying for many minutes.
                host, _, port = address.rpartition(":")
                socket.create_connection((host, int(port)), timeout=10).close()
            ray.init(log_to_driver=False, configure_logging=False, **given)
        except (OSError, ValueError, RuntimeError) as error:
            raise RunError(
                f"There is no Ray cluster at {address!r} ({error}). Give the address that `ray "
                "start` printed, or --on ray for one on this machine."
            ) from error
    crew = _crew(ray, bench, workers, reopen)
    try:
        yield _OnRay(ray, crew)
    finally:
        crew.dismiss()
        if begun:
            ray.shutdown()


def _ray() -> Any:
    try:
        return import_module("ray")
    except ImportError as error:
        raise RunError(
            "--on ray needs Ray: pip install 'retinoscope[ray]', here and on every node."
        ) from error


class _Worker:
    """One actor: a model, loaded once."""

    def __init__(self, folder: str, seen: list[Path], given: Any, reopen: Any) -> None:
        self._folder, self._seen, self._given, self._reopen = folder, seen, given, reopen
        self._bench: Bench | None = None

    def bench(self) -> Bench:
        """The bench; opened by the first call, so that what is wrong is told as any error."""
        if self._bench is None:
            node = f"node {os.uname().nodename}"
            if not Path(self._folder).is_dir():
                raise RunError(
                    f"{node} has no folder {self._folder}, from which the run was begun and its "
                    "paths are counted. Share it with every node, or begin in one that all have."
                )
            os.chdir(self._folder)
            if lacking := [path for path in self._seen if not path.exists()]:
                raise RunError(
                    f"{node} can't see {lacking[0]}, which the process that began the run can. "
                    "Images are read where they are measured: put them on every node, at one path."
                )
            self._bench = Bench(self._reopen(), *self._given)
        return self._bench

    def ready(self) -> bool:
        """Load the model."""
        torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))
        return self.bench() is not None

    def do(self, job: Job[T, Result], target: T, mean: Tensor | None) -> Result:
        """Do one job, with the mean visual token that is known by now."""
        bench = self.bench()
        return job(bench if mean is None else bench.with_mean(mean), target)


@dataclass
class _Crew:
    """The actors of a run: those that start, and those that are ready.

    Attributes:
        start: starts an actor.
        kill: ends one.
        starting: what tells that an actor is ready -> the actor.
        ready: the actors that can be given targets.
        failed: how many died while they started, since one was ready.
    """

    start: Callable[[], Any]
    kill: Callable[[Any], None]
    starting: dict[Any, Any] = field(default_factory=dict)
    ready: list[Any] = field(default_factory=list)
    failed: int = 0

    def add(self) -> None:
        actor = self.start()
        self.starting[actor.ready.remote()] = actor

    def arrived(self, told: Any) -> None:
        self.ready.append(self.starting.pop(told))
        self.failed = 0

    def lost(self, actor: Any) -> None:
        """An actor is not there any more; another one is started in its place, once."""
        if actor in self.ready:
            self.ready.remove(actor)
            self.add()

    def lost_at_start(self, told: Any, why: Exception) -> None:
        del self.starting[told]
        self.failed += 1
        if self.failed >= DEATHS:
            raise RunError(
                f"{DEATHS} Ray actors died while they started ({why}). What was measured is kept; "
                "the same command goes on from there."
            ) from why
        self.add()

    def dismiss(self) -> None:
        for actor in (*self.ready, *self.starting.values()):
            self.kill(actor)


def _crew(ray: Any, bench: Bench, workers: int | None, reopen: Callable[[], Checkpoint]) -> _Crew:
    """As many actors as were asked for, or as the cluster has places for."""
    there = ray.cluster_resources()
    gpus = int(there.get("GPU", 0))
    actor = ray.remote(num_gpus=1 if gpus else 0, num_cpus=0 if gpus else 1)(_Worker)
    given = ray.put(parts_of(bench))
    shown = [sample for sample, _ in bench.candidates[:1]] + list(bench.mean_images[:1])
    seen = [one.path for one in shown if one.path.exists()]
    crew = _Crew(lambda: actor.remote(os.getcwd(), seen, given, reopen), ray.kill)
    for _ in range(workers or gpus or int(there.get("CPU", 1))):
        crew.add()
    return crew


@dataclass(frozen=True)
class _OnRay:
    """Does jobs by a crew of actors.

    Attributes:
        ray: the module.
        crew: the actors.
        mean: what stands for the mean visual token in the cluster, where it is known.
    """

    ray: Any
    crew: _Crew
    mean: Any = None

    def with_mean(self, mean: Float[Tensor, "*positions width"]) -> _OnRay:
        """As `Executor.with_mean`."""
        return replace(self, mean=self.ray.put(mean.cpu()))

    def map(
        self, job: Job[T, Result], targets: Iterable[T]
    ) -> Generator[tuple[T, Result], None, None]:
        """As `Executor.map`."""
        coming, again = iter(targets), deque[T]()
        begun: dict[Any, tuple[Any, T]] = {}
        deaths = Counter[T]()
        while True:
            self._give(job, coming, again, begun)
            if not begun and not again and not self._more(coming, again):
                return
            told = self._next([*begun, *self.crew.starting])
            if told in self.crew.starting:
                self._started(told)
                continue
            actor, target = begun.pop(told)
            try:
                result = self.ray.get(told)
            except self.ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except self.ray.exceptions.RayError as error:
                self.crew.lost(actor)
                deaths[target] += 1
                if deaths[target] >= DEATHS:
                    raise RunError(
                        f"{DEATHS} Ray actors died over {target}, most often because memory ran "
                        f"out ({error}). What was measured is kept."
                    ) from error
                again.append(target)
            else:
                yield target, result

    def _next(self, waiting: list[Any]) -> Any:
        ended, _ = self.ray.wait(waiting, num_returns=1, timeout=PATIENCE)
        if not ended:
            raise RunError(
                f"No Ray actor said anything for {PATIENCE / 60:.0f} minutes; of "
                f"{len(self.crew.starting) + len(self.crew.ready)}, {len(self.crew.starting)} wait "
                "for a place in the cluster or for their model (`ray status`). What was measured "
                "is kept; the same command goes on from there."
            )
        return ended[0]

    def _give(
        self,
        job: Job[T, Result],
        coming: Iterator[T],
        again: deque[T],
        begun: dict[Any, tuple[Any, T]],
    ) -> None:
        """Give every actor that is ready what it has room for."""
        for actor in self.crew.ready:
            room = AHEAD - sum(busy is actor for busy, _ in begun.values())
            while room > 0 and (again or self._more(coming, again)):
                target = again.popleft()
                begun[actor.do.remote(job, target, self.mean)] = (actor, target)
                room -= 1

    def _more(self, coming: Iterator[T], again: deque[T]) -> bool:
        """Whether there is a target that was not given out yet; it is put among `again`."""
        for target in coming:
            again.append(target)
            return True
        return False

    def _started(self, told: Any) -> None:
        try:
            self.ray.get(told)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self.ray.exceptions.RayError as error:
            self.crew.lost_at_start(told, error)
        else:
            self.crew.arrived(told)
