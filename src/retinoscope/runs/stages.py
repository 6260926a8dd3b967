"""The stages of a run: curation, then each experiment on each kept object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from PIL import Image

from retinoscope.data import load_image
from retinoscope.data.selection import Pair
from retinoscope.errors import (
    DataError,
    RunError,
    SampleError,
    SelectionError,
    TokenMapError,
)
from retinoscope.experiments import (
    Settings,
    Subject,
    ablated_sheet,
    ablation,
    curate,
    knockout,
    lens,
    lens_sheet,
    read_subject,
)
from retinoscope.models import Checkpoint
from retinoscope.results.records import CurationRecord, Record, SkippedRecord
from retinoscope.results.sheet import LensSheet, save_sheet
from retinoscope.results.store import Store, append, done, so_far
from retinoscope.runs.progress import Progress
from retinoscope.runs.workers import Each, Job, Work

COMPARED = 3
"""Lens sheets of a run that get a second one beside them, with the object's tokens replaced."""

_OWN_FAULT = (SampleError, SelectionError, TokenMapError)
"""What can be wrong with one object alone. Whatever else goes wrong would with every other object
too (the settings, the model, the run folder), and ends the run."""

Measured = tuple[Sequence[Record], Sequence[SkippedRecord]]


def curation(
    each: Each,
    pairs: Sequence[Pair],
    store: Store,
    limit: int | None,
    progress: Progress,
) -> list[Pair]:
    """Go through the candidates until enough objects are kept; what is done already is not redone.

    Raises:
        DataError: no object was kept.
    """
    progress.stage("curation", len(pairs) if limit is None else limit)
    known = {
        (row["image_id"], row["object_id"]): row["kept"]
        for row in so_far(store, "curation").iter_rows(named=True)
    }
    failed = done(store, "skipped")
    candidates = [p for p in pairs if f"curation-{_key(p)}" not in failed]
    found = each(_curation, (pair for pair in candidates if _identity(pair) not in known))
    kept: list[Pair] = []
    for index, pair in enumerate(candidates):
        progress.step(index if limit is None else len(kept))
        if limit is not None and len(kept) >= limit:
            break
        identity = _identity(pair)
        if identity not in known:
            record = next(found)
            if isinstance(record, SkippedRecord):
                append(store, "skipped", f"curation-{_key(pair)}", [record])
                continue
            append(store, "curation", _key(pair), [record])
            known[identity] = record.kept
        if known[identity]:
            kept.append(pair)
    if not kept:
        raise DataError(_nothing_kept(store, len(pairs)))
    return kept


def _curation(work: Work, pair: Pair) -> CurationRecord | SkippedRecord:
    try:
        return curate(work.checkpoint, _subject(work, pair), work.settings)
    except _OWN_FAULT as error:
        return SkippedRecord("curation", *_identity(pair), "", str(error))


def _subject(work: Work, pair: Pair) -> Subject:
    return read_subject(*pair, work.categories, work.settings)


def _identity(pair: Pair) -> tuple[int, int]:
    sample, annotation = pair
    return sample.image_id, annotation.object_id


def _key(pair: Pair) -> str:
    """The name of an object's part of a table."""
    image, thing = _identity(pair)
    return f"{image}-{thing}"


def uncurated(work: Work, store: Store, limit: int | None, progress: Progress) -> list[Pair]:
    """The first objects whose image and mask can be read, whether the model names them or not.

    Raises:
        DataError: none can be read.
    """
    pairs = work.pairs
    progress.stage("objects", len(pairs) if limit is None else limit)
    kept: list[Pair] = []
    for pair in pairs:
        if limit is not None and len(kept) >= limit:
            break
        try:
            _subject(work, pair)
        except SampleError as error:
            skip = SkippedRecord("data", *_identity(pair), "", str(error))
            append(store, "skipped", f"data-{_key(pair)}", [skip])
            continue
        kept.append(pair)
        progress.step(len(kept))
    if not kept:
        reasons = "; ".join(so_far(store, "skipped")["reason"].unique().head(3).to_list())
        raise DataError(f"None of {len(pairs)} objects can be read: {reasons}")
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


def measure(name: str, each: Each, kept: Sequence[Pair], store: Store, progress: Progress) -> None:
    """One experiment on every kept object; one that can't be measured is counted as skipped."""
    progress.stage(name, len(kept))
    noted = done(store, "skipped")
    finished = {key for key in done(store, name) if f"{name}-{key}" in noted}
    missing = [pair for pair in kept if _key(pair) not in finished]
    progress.step(len(kept) - len(missing))
    results = each(_JOBS[name], missing)
    for index, (pair, (records, skipped)) in enumerate(zip(missing, results, strict=True), start=1):
        # Both are written for every object, and only both say that it is done.
        append(store, "skipped", f"{name}-{_key(pair)}", skipped)
        append(store, name, _key(pair), records)
        progress.step(len(kept) - len(missing) + index)


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


def _measured(name: str, work: Work, pair: Pair) -> Measured:
    """One experiment on one object, or why it can't be measured."""
    try:
        return _EXPERIMENTS[name](_subject(work, pair), work)
    except _OWN_FAULT as error:
        return [], [SkippedRecord(name, *_identity(pair), "", str(error))]


def _ablation(subject: Subject, work: Work) -> Measured:
    return ablation(work.checkpoint, subject, donor(subject, work.pairs), work.settings)


def _lens(subject: Subject, work: Work) -> Measured:
    return lens(work.checkpoint, subject, work.settings), []


def _knockout(subject: Subject, work: Work) -> Measured:
    return knockout(work.checkpoint, subject, work.settings)


_EXPERIMENTS: dict[str, Callable[[Subject, Work], Measured]] = {
    "ablation": _ablation,
    "lens": _lens,
    "knockout": _knockout,
}
_JOBS: dict[str, Job[Measured]] = {name: partial(_measured, name) for name in _EXPERIMENTS}


def donor(subject: Subject, pairs: Sequence[Pair]) -> Image.Image | None:
    """The next candidate's image that can be read, for "resampled" tokens; None without one."""
    for sample, _ in _after(subject, pairs):
        if sample.image_id == subject.sample.image_id:
            continue
        try:
            return load_image(sample)
        except SampleError:
            continue
    return None


def _after(subject: Subject, pairs: Sequence[Pair]) -> Iterator[Pair]:
    place = next(
        (i for i, (_, a) in enumerate(pairs) if a.object_id == subject.annotation.object_id), 0
    )
    yield from (*pairs[place + 1 :], *pairs[:place])


def sheets(each: Each, kept: Sequence[Pair], store: Store, count: int, progress: Progress) -> None:
    """Lens sheets of the first kept objects' images, and of the first few without the object.

    Raises:
        RunError: the folder can't be written.
    """
    chosen = kept[:count]
    progress.stage("lens pages", len(chosen) + len(chosen[:COMPARED]))
    wanted: list[tuple[Job[LensSheet | SkippedRecord], str, Sequence[Pair]]] = [
        (partial(_sheet, lens_sheet), "", chosen),
        (partial(_sheet, ablated_sheet), "@object+1", chosen[:COMPARED]),
    ]
    step = 0
    for job, suffix, pairs in wanted:
        paths = {_key(p): store.run / "lens" / f"{p[0].image_id}{suffix}.npz" for p in pairs}
        missing = [pair for pair in pairs if not paths[_key(pair)].exists()]
        step += len(pairs) - len(missing)
        for pair, sheet in zip(missing, each(job, missing), strict=True):
            if isinstance(sheet, SkippedRecord):
                skip = replace(sheet, condition=paths[_key(pair)].name)
                append(store, "skipped", f"sheet-{skip.condition}", [skip])
            else:
                save_sheet(paths[_key(pair)], sheet, store.key)
            step += 1
            progress.step(step)


def _sheet(
    read: Callable[[Checkpoint, Subject, Settings], LensSheet], work: Work, pair: Pair
) -> LensSheet | SkippedRecord:
    try:
        return read(work.checkpoint, _subject(work, pair), work.settings)
    except _OWN_FAULT as error:
        return SkippedRecord("lens pages", *_identity(pair), "", str(error))
