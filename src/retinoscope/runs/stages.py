"""The stages of a run: curation, then each experiment on each kept object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from retinoscope.data import Dataset, load_image
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
from retinoscope.results.records import Record, SkippedRecord
from retinoscope.results.sheet import save_sheet
from retinoscope.results.store import append, done, so_far
from retinoscope.runs.progress import Progress

COMPARED = 3
"""Lens sheets of a run that get a second one beside them, with the object's tokens replaced."""

Measured = tuple[Sequence[Record], Sequence[SkippedRecord]]


def curation(
    checkpoint: Checkpoint,
    dataset: Dataset,
    pairs: Sequence[Pair],
    run: Path,
    limit: int | None,
    settings: Settings,
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
    kept: list[Pair] = []
    for index, (sample, annotation) in enumerate(pairs):
        progress.step(index if limit is None else len(kept))
        if limit is not None and len(kept) >= limit:
            break
        identity = (sample.image_id, annotation.object_id)
        key = f"curation-{sample.image_id}-{annotation.object_id}"
        if key in failed:
            continue
        if identity not in known:
            try:
                subject = read_subject(sample, annotation, dataset.categories, settings)
                record = curate(checkpoint, subject, settings)
            except RetinoscopeError as error:
                append(run, "skipped", key, [SkippedRecord("curation", *identity, "", str(error))])
                continue
            append(run, "curation", subject.key, [record])
            known[identity] = record.kept
        if known[identity]:
            kept.append((sample, annotation))
    if not kept:
        raise DataError(_nothing_kept(run, len(pairs)))
    return kept


def uncurated(
    dataset: Dataset,
    pairs: Sequence[Pair],
    run: Path,
    limit: int | None,
    settings: Settings,
    progress: Progress,
) -> list[Pair]:
    """The first objects whose image and mask can be read, whether the model names them or not.

    Raises:
        DataError: none can be read.
    """
    progress.stage("objects", len(pairs) if limit is None else limit)
    kept: list[Pair] = []
    for sample, annotation in pairs:
        if limit is not None and len(kept) >= limit:
            break
        try:
            read_subject(sample, annotation, dataset.categories, settings)
        except SampleError as error:
            identity = (sample.image_id, annotation.object_id)
            key = f"data-{sample.image_id}-{annotation.object_id}"
            append(run, "skipped", key, [SkippedRecord("data", *identity, "", str(error))])
            continue
        kept.append((sample, annotation))
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


def measure(
    name: str,
    checkpoint: Checkpoint,
    dataset: Dataset,
    kept: Sequence[Pair],
    pairs: Sequence[Pair],
    run: Path,
    settings: Settings,
    progress: Progress,
) -> None:
    """One experiment on every kept object; one that can't be measured is counted as skipped."""
    progress.stage(name, len(kept))
    finished = done(run, name)
    for index, (sample, annotation) in enumerate(kept, start=1):
        key = f"{sample.image_id}-{annotation.object_id}"
        if key not in finished:
            try:
                subject = read_subject(sample, annotation, dataset.categories, settings)
                records, skipped = _EXPERIMENTS[name](checkpoint, subject, pairs, settings)
            except RetinoscopeError as error:
                identity = (sample.image_id, annotation.object_id)
                records, skipped = [], [SkippedRecord(name, *identity, "", str(error))]
            # The skips first: the experiment's own part is what says that the object is done.
            append(run, "skipped", f"{name}-{key}", skipped)
            append(run, name, key, records)
        progress.step(index)


def _ablation(
    checkpoint: Checkpoint, subject: Subject, pairs: Sequence[Pair], settings: Settings
) -> Measured:
    return ablation(checkpoint, subject, donor(subject, pairs), settings)


def _lens(
    checkpoint: Checkpoint, subject: Subject, pairs: Sequence[Pair], settings: Settings
) -> Measured:
    return lens(checkpoint, subject, settings), []


def _knockout(
    checkpoint: Checkpoint, subject: Subject, pairs: Sequence[Pair], settings: Settings
) -> Measured:
    return knockout(checkpoint, subject, settings)


_EXPERIMENTS: dict[str, Callable[[Checkpoint, Subject, Sequence[Pair], Settings], Measured]] = {
    "ablation": _ablation,
    "lens": _lens,
    "knockout": _knockout,
}


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


def sheets(
    checkpoint: Checkpoint,
    dataset: Dataset,
    kept: Sequence[Pair],
    run: Path,
    count: int,
    settings: Settings,
    progress: Progress,
) -> None:
    """Lens sheets of the first kept objects' images, and of the first few without the object.

    Raises:
        RunError: the folder can't be written.
    """
    chosen = kept[:count]
    progress.stage("lens pages", len(chosen))
    for index, (sample, annotation) in enumerate(chosen, start=1):
        wanted = {f"{sample.image_id}.npz": lens_sheet}
        if index <= COMPARED:
            wanted[f"{sample.image_id}@object+1.npz"] = ablated_sheet
        for name, read in wanted.items():
            path = run / "lens" / name
            if path.exists():
                continue
            try:
                subject = read_subject(sample, annotation, dataset.categories, settings)
                sheet = read(checkpoint, subject, settings)
            except RetinoscopeError as error:
                who = (sample.image_id, annotation.object_id)
                skip = SkippedRecord("lens pages", *who, name, str(error))
                append(run, "skipped", f"sheet-{name}", [skip])
                continue
            try:
                save_sheet(path, sheet)
            except OSError as error:
                raise RunError(f"{path} can't be written: {error}") from error
        progress.step(index)
