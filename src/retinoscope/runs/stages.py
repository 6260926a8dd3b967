"""The stages of a run: curation, then each experiment on each kept object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image

from retinoscope.data import load_image
from retinoscope.data.selection import Pair
from retinoscope.errors import DataError, RetinoscopeError, RunError, SampleError
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
from retinoscope.results.store import append, done, so_far
from retinoscope.runs.progress import Progress
from retinoscope.runs.workers import Each, Job, Work

COMPARED = 3
"""Lens sheets of a run that get a second one beside them, with the object's tokens replaced."""

Measured = tuple[Sequence[Record], Sequence[SkippedRecord]]


def curation(
    each: Each,
    pairs: Sequence[Pair],
    run: Path,
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
        for row in so_far(run, "curation").iter_rows(named=True)
    }
    failed = done(run, "skipped")
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
                append(run, "skipped", f"curation-{_key(pair)}", [record])
                continue
            append(run, "curation", _key(pair), [record])
            known[identity] = record.kept
        if known[identity]:
            kept.append(pair)
    if not kept:
        raise DataError(_nothing_kept(run, len(pairs)))
    return kept


def _curation(work: Work, pair: Pair) -> CurationRecord | SkippedRecord:
    try:
        return curate(work.checkpoint, _subject(work, pair), work.settings)
    except RetinoscopeError as error:
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


def uncurated(work: Work, run: Path, limit: int | None, progress: Progress) -> list[Pair]:
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
            append(run, "skipped", f"data-{_key(pair)}", [skip])
            continue
        kept.append(pair)
        progress.step(len(kept))
    if not kept:
        reasons = "; ".join(so_far(run, "skipped")["reason"].unique().head(3).to_list())
        raise DataError(f"None of {len(pairs)} objects can be read: {reasons}")
    return kept


def _nothing_kept(run: Path, candidates: int) -> str:
    records, skips = so_far(run, "curation"), so_far(run, "skipped")
    skips = skips.filter(skips["experiment"] == "curation")
    reasons = "; ".join(skips["reason"].unique().head(3).to_list())
    return (
        f"None of {candidates} candidate objects passed curation: {len(records)} were described "
        f"({int(records['named_whole'].sum())} named when whole), {len(skips)} could not be used"
        f"{f' ({reasons})' if reasons else ''}. Give more data or a model that can name "
        "them, or measure uncurated objects."
    )


def measure(name: str, each: Each, kept: Sequence[Pair], run: Path, progress: Progress) -> None:
    """One experiment on every kept object; one that can't be measured is counted as skipped."""
    progress.stage(name, len(kept))
    finished = done(run, name)
    missing = [pair for pair in kept if _key(pair) not in finished]
    progress.step(len(kept) - len(missing))
    results = each(_JOBS[name], missing)
    for index, (pair, (records, skipped)) in enumerate(zip(missing, results, strict=True), start=1):
        # The skips first: the experiment's own part is what says that the object is done.
        append(run, "skipped", f"{name}-{_key(pair)}", skipped)
        append(run, name, _key(pair), records)
        progress.step(len(kept) - len(missing) + index)


def _measured(name: str, work: Work, pair: Pair) -> Measured:
    """One experiment on one object, or why it can't be measured."""
    try:
        return _EXPERIMENTS[name](_subject(work, pair), work)
    except RetinoscopeError as error:
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


def donor(subject: Subject, pairs: Sequence[Pair]) -> Image.Image:
    """The next candidate's image that can be read: another image for "resampled" tokens.

    Raises:
        SampleError: there is no other image.
    """
    for sample, _ in _after(subject, pairs):
        if sample.image_id == subject.sample.image_id:
            continue
        try:
            return load_image(sample)
        except SampleError:
            continue
    raise SampleError("There is no other image to resample tokens from; give data with several.")


def _after(subject: Subject, pairs: Sequence[Pair]) -> Iterator[Pair]:
    place = next(
        (i for i, (_, a) in enumerate(pairs) if a.object_id == subject.annotation.object_id), 0
    )
    yield from (*pairs[place + 1 :], *pairs[:place])


def sheets(each: Each, kept: Sequence[Pair], run: Path, count: int, progress: Progress) -> None:
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
        paths = {_key(p): run / "lens" / f"{p[0].image_id}{suffix}.npz" for p in pairs}
        missing = [pair for pair in pairs if not paths[_key(pair)].exists()]
        step += len(pairs) - len(missing)
        for pair, sheet in zip(missing, each(job, missing), strict=True):
            if isinstance(sheet, SkippedRecord):
                skip = replace(sheet, condition=paths[_key(pair)].name)
                append(run, "skipped", f"sheet-{skip.condition}", [skip])
            else:
                _save(paths[_key(pair)], sheet)
            step += 1
            progress.step(step)


def _sheet(
    read: Callable[[Checkpoint, Subject, Settings], LensSheet], work: Work, pair: Pair
) -> LensSheet | SkippedRecord:
    try:
        return read(work.checkpoint, _subject(work, pair), work.settings)
    except RetinoscopeError as error:
        return SkippedRecord("lens pages", *_identity(pair), "", str(error))


def _save(path: Path, sheet: LensSheet) -> None:
    try:
        save_sheet(path, sheet)
    except OSError as error:
        raise RunError(f"{path} can't be written: {error}") from error
