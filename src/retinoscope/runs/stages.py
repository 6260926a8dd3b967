"""The stages of a run: curation, then each experiment on each kept object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from retinoscope.data.selection import Candidate
from retinoscope.errors import (
    DataError,
    RegistrationError,
    RunError,
    SampleError,
    SelectionError,
    TokenMapError,
)
from retinoscope.experiments import Target, read_target
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.curation import curate
from retinoscope.registry import load
from retinoscope.results.experiment import Experiment, experiments
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import CurationRecord, Record, SkippedRecord
from retinoscope.results.sheet import LensSheet, save_sheet
from retinoscope.results.store import Store, append, done, so_far
from retinoscope.runs.progress import Progress
from retinoscope.runs.workers import Each

_OWN_FAULT = (SampleError, SelectionError, TokenMapError)
"""What can be wrong with one object alone. Whatever else goes wrong would with every other object
too (the settings, the model, the run folder), and ends the run."""


def curation(
    each: Each,
    candidates: Sequence[Candidate],
    store: Store,
    limit: int | None,
    progress: Progress,
) -> list[Candidate]:
    """Go through the candidates until enough objects are kept; what is done already is not redone.

    Raises:
        DataError: no object was kept.
    """
    progress.stage("curation", len(candidates) if limit is None else limit)
    known = {
        (row["image_id"], row["object_id"]): row["kept"]
        for row in so_far(store, "curation").iter_rows(named=True)
    }
    failed = done(store, "skipped")
    able = [one for one in candidates if f"curation-{_key(one)}" not in failed]
    found = each(_curation, (candidate for candidate in able if _identity(candidate) not in known))
    kept: list[Candidate] = []
    for index, candidate in enumerate(able):
        progress.step(index if limit is None else len(kept))
        if limit is not None and len(kept) >= limit:
            break
        identity = _identity(candidate)
        if identity not in known:
            record = next(found)
            if isinstance(record, SkippedRecord):
                append(store, "skipped", f"curation-{_key(candidate)}", [record])
                continue
            append(store, "curation", _key(candidate), [record])
            known[identity] = record.kept
        if known[identity]:
            kept.append(candidate)
    if not kept:
        raise DataError(_nothing_kept(store, len(candidates)))
    return kept


def _curation(bench: Bench, candidate: Candidate) -> CurationRecord | SkippedRecord:
    try:
        return curate(bench.checkpoint, _target(bench, candidate), bench.settings)
    except _OWN_FAULT as error:
        return SkippedRecord("curation", *_identity(candidate), "", str(error))


def _target(bench: Bench, candidate: Candidate) -> Target:
    return read_target(*candidate, bench.categories, bench.settings)


def _identity(candidate: Candidate) -> tuple[int, int]:
    sample, annotation = candidate
    return sample.image_id, annotation.object_id


def _key(candidate: Candidate) -> str:
    """The name of an object's part of a table."""
    image, thing = _identity(candidate)
    return f"{image}-{thing}"


def uncurated(bench: Bench, store: Store, limit: int | None, progress: Progress) -> list[Candidate]:
    """The first objects whose image and mask can be read, whether the model names them or not.

    Raises:
        DataError: none can be read.
    """
    candidates = bench.candidates
    progress.stage("objects", len(candidates) if limit is None else limit)
    kept: list[Candidate] = []
    for candidate in candidates:
        if limit is not None and len(kept) >= limit:
            break
        try:
            _target(bench, candidate)
        except SampleError as error:
            skip = SkippedRecord("data", *_identity(candidate), "", str(error))
            append(store, "skipped", f"data-{_key(candidate)}", [skip])
            continue
        kept.append(candidate)
        progress.step(len(kept))
    if not kept:
        reasons = "; ".join(so_far(store, "skipped")["reason"].unique().head(3).to_list())
        raise DataError(f"None of {len(candidates)} objects can be read: {reasons}")
    return kept


def _nothing_kept(store: Store, candidates: int) -> str:
    records, skips = so_far(store, "curation"), so_far(store, "skipped")
    skips = skips.filter(skips["experiment"] == "curation")
    reasons = "; ".join(skips["reason"].unique().head(3).to_list())
    return (
        f"None of {candidates} candidate objects passed curation: {len(records)} were described "
        f"({int(records['named_whole'].sum())} named when whole), {len(skips)} could not be used"
        f"{f' ({reasons})' if reasons else ''}. Give more data or a model that can name "
        "them, or measure uncurated objects."
    )


def measure(
    experiment: Experiment,
    own: OwnSettings,
    each: Each,
    kept: Sequence[Candidate],
    store: Store,
    progress: Progress,
) -> None:
    """One experiment on every kept object; one that can't be measured is counted as skipped."""
    name = experiment.name
    progress.stage(name, len(kept))
    noted = done(store, "skipped")
    whole = set.intersection(*(done(store, table) for table in experiment.records))
    finished = {key for key in whole if f"{name}-{key}" in noted}
    missing = [candidate for candidate in kept if _key(candidate) not in finished]
    progress.step(len(kept) - len(missing))
    results = each(partial(measured, name, own), missing)
    for index, (candidate, records) in enumerate(zip(missing, results, strict=True), start=1):
        rows = sorted_out(experiment, records)
        # All are written for every object, and only all of them say that it is done.
        append(store, "skipped", f"{name}-{_key(candidate)}", rows.pop("skipped"))
        for table, found in rows.items():
            append(store, table, _key(candidate), found)
        progress.step(len(kept) - len(missing) + index)


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


def refuse_empty(store: Store, experiments: Sequence[str], objects: int) -> None:
    """Make sure that every experiment measured something.

    Raises:
        RunError: one has no record at all; the message says why, as far as it is known.
    """
    skips = so_far(store, "skipped")
    for name in experiments:
        if not so_far(store, name).is_empty():
            continue
        reasons = skips.filter(skips["experiment"] == name)["reason"].unique().head(3)
        raise RunError(
            f"The experiment {name} measured none of {objects} objects: "
            f"{'; '.join(sorted(reasons)) or 'nothing was asked'}. {kept_elsewhere(store)}"
        )


def kept_elsewhere(store: Store) -> str:
    """What to do when an experiment could not be carried out."""
    return (
        "Leave the experiment out, or give other data or settings. What the others measured is "
        f"kept: `retinoscope report {store.run}` draws it."
    )


def measured(name: str, own: OwnSettings, bench: Bench, candidate: Candidate) -> Sequence[Record]:
    """One experiment on one object, or why it can't be measured."""
    try:
        return [
            *experiments()[name].measuring()(replace(bench, own=own), _target(bench, candidate))
        ]
    except _OWN_FAULT as error:
        return [SkippedRecord(name, *_identity(candidate), "", str(error))]


def sheets(
    experiment: Experiment,
    each: Each,
    kept: Sequence[Candidate],
    store: Store,
    count: int,
    progress: Progress,
) -> None:
    """The lens sheets that an experiment writes of the first kept objects' images.

    Raises:
        RunError: the folder can't be written.
    """
    chosen = [
        kept[: count if kind.most is None else min(kind.most, count)] for kind in experiment.sheets
    ]
    progress.stage("lens pages", sum(map(len, chosen)))
    step = 0
    for kind, candidates in zip(experiment.sheets, chosen, strict=True):
        suffix = kind.suffix
        paths = {_key(p): store.run / "lens" / f"{p[0].image_id}{suffix}.npz" for p in candidates}
        missing = [candidate for candidate in candidates if not paths[_key(candidate)].exists()]
        step += len(candidates) - len(missing)
        drawn = each(partial(sheet, kind.read), missing)
        for candidate, drawn_or_not in zip(missing, drawn, strict=True):
            if isinstance(drawn_or_not, SkippedRecord):
                skip = replace(drawn_or_not, condition=paths[_key(candidate)].name)
                append(store, "skipped", f"sheet-{skip.condition}", [skip])
            else:
                save_sheet(paths[_key(candidate)], drawn_or_not, store.key)
            step += 1
            progress.step(step)


def sheet(address: str, bench: Bench, candidate: Candidate) -> LensSheet | SkippedRecord:
    """One sheet of one object, or why it can't be drawn."""
    try:
        return load(address)(bench, _target(bench, candidate))
    except _OWN_FAULT as error:
        return SkippedRecord("lens pages", *_identity(candidate), "", str(error))
