"""Weak scaling: whether each of two workers does as much as one alone, told apart from their start.

`python -m benchmarks.scaling` gives every worker the same steady work, the experiments `lens` and
`knockout` on one object again and again, by 1 and 2 processes and 1 and 2 Ray actors on one thread
each, and prints what a worker does in a second. It needs a machine that does nothing else, with a
core for each worker and one for the process that hands out the work.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch

from retinoscope.data import open_data, select, source_of
from retinoscope.experiments import settings_for
from retinoscope.experiments.bench import Bench
from retinoscope.models import load
from retinoscope.results.experiment import experiments
from retinoscope.results.own_settings import OwnSettings
from retinoscope.runs.candidates import target_of
from retinoscope.runs.executors import Executor, executing
from retinoscope.runs.executors.processes import processes

ALIKE = 0.1
"""How far a worker's throughput may be from one worker's alone."""

WORK = ("lens", "knockout")


@dataclass(frozen=True)
class Done:
    """One unit of work: which process did it, from when to when."""

    worker: int
    begun: float
    ended: float


@dataclass(frozen=True)
class Rate:
    """What workers do side by side.

    Attributes:
        start: seconds until every worker has done its first unit.
        each: units a second of one worker, from then until the first worker is done.
        seconds: that this lasts.
    """

    start: float
    each: float
    seconds: float


def steady(done: Sequence[Done], begun: float) -> Rate:
    """The rate while all workers are at work, each behind its first unit.

    Args:
        done: every unit of every worker.
        begun: when the executor was asked for.

    Raises:
        ValueError: a worker did too little for a rate.
    """
    ordered = sorted(done, key=lambda unit: (unit.worker, unit.ended))
    turns = [[*own] for _, own in groupby(ordered, key=lambda unit: unit.worker)]
    first = max(own[0].ended for own in turns)
    last = min(own[-1].ended for own in turns)
    rates = []
    for own in turns:
        ends = [unit.ended for unit in own if first <= unit.ended <= last]
        if len(ends) < 2:
            raise ValueError(f"{len(own)} units of a worker are too few; give more with --units.")
        rates.append((len(ends) - 1) / (ends[-1] - ends[0]))
    return Rate(first - begun, sum(rates) / len(rates), last - first)


def unit(bench: Bench, number: int) -> Done:
    """The same work whatever the number."""
    begun = time.time()
    target = target_of(bench, bench.candidates[0])
    for name in WORK:
        one = experiments()[name]
        own = one.settings.suited("embedded", bench.settings.protocol)
        list(one.measuring()(Bench(bench.checkpoint, (), (), bench.settings, own), target))
    return Done(os.getpid(), begun, time.time())


def measured(on: str, workers: int, units: int, bench: Bench) -> Rate:
    """The rate of so many workers that do so many units each.

    Args:
        on: "processes" or "Ray actors".
        workers: how many.
        units: of each.
        bench: what they measure.
    """
    reopen = partial(load, "embedded", device="cpu")
    place: AbstractContextManager[Executor] = (
        processes(bench, workers, reopen)
        if on == "processes"
        else executing(bench, workers, reopen, "ray")
    )
    begun = time.time()
    with place as executor:
        done = [found for _, found in executor.map(unit, range(workers * units))]
    found = steady(done, begun)
    if len({one.worker for one in done}) < workers:
        raise ValueError(f"Not all of {workers} {on} did anything; give more with --units.")
    return found


def main(units: int, kinds: Sequence[str], counts: Sequence[int]) -> None:
    """Print the table, and where it doesn't hold."""
    # Workers divide the threads among them, and Ray's read the variable.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    data = open_data("embedded:8")
    candidates = select(data, source_of("embedded").filter).candidates[:1]
    checkpoint = load("embedded", device="cpu")
    bench = Bench(checkpoint, data.categories, candidates, settings_for("embedded"), OwnSettings())
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {units} units for each worker\n")
    print("| workers | to the first unit of each | units a second of each | beside one alone |")
    print("|---|---|---|---|")
    failing = []
    for kind in kinds:
        alone = None
        for count in counts:
            rate = measured(kind, count, units, bench)
            alone = alone or rate.each
            share = rate.each / alone
            print(f"| {count} {kind} | {rate.start:.1f} s | {rate.each:.2f} | {share:.0%} |")
            if abs(share - 1) > ALIKE:
                failing.append(f"{count} {kind} do {share:.0%} each of what one alone does")
    print(f"\n{'; '.join(failing) or f'All within {ALIKE:.0%} of one alone.'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=60, help="units of work for each worker")
    parser.add_argument("--on", nargs="+", default=["processes", "Ray actors"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    given = parser.parse_args()
    main(given.units, given.on, given.workers)
