"""Measuring: every experiment on every kept object, then the lens pages, as one stream of units.

No experiment waits for the one before: where work is done in several places, the slowest object
keeps nobody from going on.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from retinoscope.errors import RunError
from retinoscope.experiments.bench import Bench
from retinoscope.results.bundles import FEWEST
from retinoscope.results.experiment import experiments
from retinoscope.results.measured import Store, bundle, done, row_count, so_far
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.sheet import LensSheet, save_sheet
from retinoscope.runs.candidates import key
from retinoscope.runs.executors import Executor
from retinoscope.runs.progress import Progress
from retinoscope.runs.units import (
    PAGES,
    Drawing,
    Measurement,
    Stopped,
    Unit,
    carry_out,
    sheet_path,
)


def measure(
    own: Mapping[str, OwnSettings],
    most: Mapping[str, int],
    executor: Executor,
    bench: Bench,
    kept: Sequence[int],
    sheets: int,
    store: Store,
    progress: Progress,
) -> None:
    """Do what is not done yet; what a model can't do is told once everything else is measured.

    Args:
        own: the experiments, each with its own settings, in the order in which they begin.
        most: of the experiments that measure fewer, how many objects.
        executor: where the work is done.
        bench: whose candidates are measured.
        kept: the objects' places among them.
        sheets: images that get a lens page.
        store: where records are kept.
        progress: told of every unit.

    Raises:
        RunError: an experiment stopped, or none measured anything.
    """
    stages = [_of(name, bench, kept[: most.get(name)], store) for name in own]
    stages.append(_pages(list(own), bench, kept[:sheets], store))
    stopped: dict[str, str] = {}
    told = _Told(progress, stages, stopped)

    def units() -> Iterator[Unit]:
        for stage, unit in _ordered(stages):
            if stage.name not in stopped:
                yield unit

    told.begin()
    for number, (unit, end) in enumerate(executor.map(partial(carry_out, store, own), units())):
        if number % FEWEST == 0:
            bundle(store)
        name = unit.stage
        if isinstance(end, LensSheet) and isinstance(unit, Drawing):
            path = sheet_path(store.run, bench.candidates[unit.place], unit.suffix)
            save_sheet(path, end, store.key)
        if isinstance(end, Stopped) and name not in stopped:
            what = "drawing of lens pages" if name == PAGES else f"experiment {name}"
            stopped[name] = f"The {what} stopped: {end.reason}"
        told.step(name)
    if stopped:
        raise RunError(f"{' '.join(stopped.values())} {kept_elsewhere(store)}")
    given = {
        name: len(bench.candidates_of(name)) if name in bench.apart else len(kept) for name in own
    }
    tell_empty(store, given, progress)


@dataclass(frozen=True)
class _Stage:
    """The units of one kind: how many there are in all, and those that are not done."""

    name: str
    total: int
    missing: Sequence[Unit]


def _of(name: str, bench: Bench, kept: Sequence[int], store: Store) -> _Stage:
    noted = done(store, "skipped")
    whole = set.intersection(*(done(store, table) for table in experiments()[name].records))
    finished = {unit for unit in whole if f"{name}-{unit}" in noted}
    candidates = bench.candidates_of(name)
    places = range(len(candidates)) if name in bench.apart else kept
    missing = [Measurement(name, i) for i in places if key(candidates[i]) not in finished]
    return _Stage(name, len(places), missing)


def _ordered(stages: Sequence[_Stage]) -> Iterator[tuple[_Stage, Unit]]:
    """The first unit of every stage, then all others.

    What an experiment needs once it makes with its first object: others go on meanwhile, and find
    it made when they come to it.
    """
    for stage in stages:
        yield from ((stage, unit) for unit in stage.missing[:1])
    for stage in stages:
        yield from ((stage, unit) for unit in stage.missing[1:])


def _pages(names: Sequence[str], bench: Bench, chosen: Sequence[int], store: Store) -> _Stage:
    every = [
        Drawing(kind.read, kind.suffix, place)
        for name in names
        for kind in experiments()[name].sheets
        for place in (chosen if kind.most is None else chosen[: kind.most])
    ]
    missing = [
        one
        for one in every
        if not sheet_path(store.run, bench.candidates[one.place], one.suffix).exists()
    ]
    return _Stage(PAGES, len(every), missing)


@dataclass
class _Told:
    """Tells the progress of units that come in any order: the stages one after the other.

    A stage is over when all of it is done, or when it stopped, not when the next one has begun.
    """

    progress: Progress
    stages: Sequence[_Stage]
    stopped: Container[str]
    done: dict[str, int] = field(default_factory=dict)
    current: int = -1

    def begin(self) -> None:
        self.done = {stage.name: stage.total - len(stage.missing) for stage in self.stages}
        self._go_on()

    def step(self, name: str) -> None:
        self.done[name] += 1
        if name == self.stages[self.current].name:
            self.progress.step(self.done[name])
        self._go_on()

    def _go_on(self) -> None:
        """Enter the next stage, and those behind it that are over already."""
        while self.current + 1 < len(self.stages) and self._over(self.current):
            self.current += 1
            stage = self.stages[self.current]
            if stage.total:
                self.progress.stage(stage.name, stage.total)
                self.progress.step(self.done[stage.name])

    def _over(self, place: int) -> bool:
        stage = self.stages[place]
        return place < 0 or stage.name in self.stopped or self.done[stage.name] >= stage.total


def tell_empty(store: Store, given: Mapping[str, int], progress: Progress) -> None:
    """Tell which experiments measured nothing, for want of what they need.

    Args:
        store: where they put what they measure.
        given: by experiment how many objects it was given.
        progress: what is told.

    Raises:
        RunError: none measured anything; the message says why, as far as it is known.
    """
    skips = so_far(store, "skipped")
    told = []
    for name, objects in given.items():
        if not row_count(store, name):
            reasons = skips.filter(skips["experiment"] == name)["reason"].unique().head(3)
            told.append(
                f"The experiment {name} measured none of {objects} objects: "
                f"{'; '.join(sorted(reasons)) or 'nothing was asked'}."
            )
    if len(told) == len(given):
        raise RunError(f"{' '.join(told)} {kept_elsewhere(store)}")
    for text in told:
        progress.note(text)


def kept_elsewhere(store: Store) -> str:
    """What to do when an experiment could not be carried out."""
    return (
        "Leave the experiment out, or give other data or settings. What the others measured is "
        f"kept: `retinoscope report {store.run}` draws it."
    )
