"""Units: the pieces of work of a run, each small to name, and done wherever it is sent.

What a unit measures is appended to the run's store where it is done; the same unit again replaces
it. Only that it is done is told, or why it can't be; lens sheets, which are few, are handed back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from retinoscope.data.selection import Candidate
from retinoscope.errors import InterventionError, ModelError, RegistrationError, RunError
from retinoscope.experiments.bench import Bench
from retinoscope.models.vision import shared_vision
from retinoscope.registry import load
from retinoscope.results.experiment import Experiment, experiments
from retinoscope.results.measured import Store, append
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import Record, SkippedRecord
from retinoscope.results.sheet import LensSheet
from retinoscope.runs.candidates import OWN_FAULT, identity, key, target_of

PAGES = "lens pages"
"""The stage in which lens sheets are drawn."""


@dataclass(frozen=True)
class Measurement:
    """One experiment on one object.

    Attributes:
        experiment: its name.
        place: the object's among the candidates.
    """

    experiment: str
    place: int

    @property
    def stage(self) -> str:
        """What the unit is a part of, as progress tells it."""
        return self.experiment


@dataclass(frozen=True)
class Drawing:
    """One lens sheet of one object's image.

    Attributes:
        read: the address of the function that reads it.
        suffix: of the file's name.
        place: the object's among the candidates.
    """

    read: str
    suffix: str
    place: int

    @property
    def stage(self) -> str:
        """What the unit is a part of, as progress tells it."""
        return PAGES


@dataclass(frozen=True)
class Stopped:
    """Why a model can't be measured so; it can't with any other object either."""

    reason: str


Unit = Measurement | Drawing


def carry_out(
    store: Store, own: Mapping[str, OwnSettings], bench: Bench, unit: Unit
) -> Stopped | LensSheet | None:
    """Do one unit and keep what it measured; one object's own fault is kept as a skip.

    Args:
        store: where to.
        own: the own settings of each experiment, by name.
        bench: what measuring needs.
        unit: what to do.

    Returns:
        Why this can't be done with any object, or the lens sheet; None where it is kept.

    Raises:
        RunError: the store can't be written.
        RegistrationError: the experiment measured something that is none of its rows.
    """
    if not store.address and not store.run.is_dir():
        raise RunError(
            f"There is no run folder {store.run} here. Share it with every node, or give an "
            "address that all can write to with --parts (s3://...)."
        )
    try:
        with shared_vision(bench.checkpoint):
            match unit:
                case Measurement():
                    _measure(store, own[unit.experiment], bench, unit)
                case Drawing():
                    return _draw(store, bench, unit)
    except (ModelError, InterventionError) as error:
        return Stopped(str(error))
    return None


def sheet_path(run: Path, candidate: Candidate, suffix: str) -> Path:
    """Where the lens sheet of an object's image is kept."""
    return run / "lens" / f"{candidate[0].image_id}{suffix}.npz"


def _measure(store: Store, own: OwnSettings, bench: Bench, unit: Measurement) -> None:
    name = unit.experiment
    candidates = bench.candidates_of(name)
    candidate, experiment = candidates[unit.place], experiments()[name]
    bench = replace(bench, own=own, candidates=candidates)
    try:
        target = target_of(bench, candidate)
        records: list[Record] = [*experiment.measuring()(bench, target)]
    except OWN_FAULT as error:
        records = [SkippedRecord(name, *identity(candidate), "", str(error))]
    rows = sorted_out(experiment, records)
    # All are written for every object, and only all of them say that it is done.
    append(store, "skipped", f"{name}-{key(candidate)}", rows.pop("skipped"))
    for table, found in rows.items():
        append(store, table, key(candidate), found)


def _draw(store: Store, bench: Bench, unit: Drawing) -> LensSheet | None:
    candidate = bench.candidates[unit.place]
    path = sheet_path(store.run, candidate, unit.suffix)
    try:
        return load(unit.read)(bench, target_of(bench, candidate))
    except OWN_FAULT as error:
        skip = SkippedRecord(PAGES, *identity(candidate), path.name, str(error))
        append(store, "skipped", f"sheet-{path.name}", [skip])
        return None


def sorted_out(experiment: Experiment, records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by table: each of the experiment's, and "skipped".

    Raises:
        RegistrationError: a record is of none of them.
    """
    kinds = {**experiment.records, "skipped": SkippedRecord}
    rows: dict[str, list[Record]] = {table: [] for table in kinds}
    for record in records:
        table = next((table for table, kind in kinds.items() if type(record) is kind), None)
        if table is None:
            raise RegistrationError(
                f"The experiment {experiment.name!r} measured a {type(record).__name__}, which is "
                f"none of its rows ({', '.join(kind.__name__ for kind in kinds.values())}). Name "
                "it among the records of its Experiment."
            )
        rows[table].append(record)
    return rows
