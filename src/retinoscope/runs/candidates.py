"""Candidates: which objects of the data a run measures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from retinoscope.data import Dataset, open_data, select
from retinoscope.data.selection import Candidate, Selection, shuffled
from retinoscope.errors import DataError, SampleError, SelectionError, TokenMapError
from retinoscope.experiments import Target, read_target
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.curation import curate
from retinoscope.experiments.target import object_of, representative
from retinoscope.models.vision import shared_vision
from retinoscope.results.bundles import FEWEST
from retinoscope.results.experiment import experiments
from retinoscope.results.measured import Store, append, bundle, done, so_far
from retinoscope.results.records import CurationRecord, SkippedRecord
from retinoscope.runs.executors import Executor, in_order
from retinoscope.runs.plan import Plan
from retinoscope.runs.progress import Progress, Scenes

OWN_FAULT = (SampleError, SelectionError, TokenMapError)
"""What can be wrong with one object alone. Whatever else goes wrong would with every other object
too (the settings, the model, the run folder), and ends the run."""


def selected(plan: Plan, dataset: Dataset, *, needed: bool) -> Selection:
    """The objects that fit the filter; of data that are measured otherwise there may be none."""
    try:
        return select(dataset, plan.filter, seed=plan.settings.seed)
    except DataError:
        if needed:
            raise
        return Selection((), 0, {})


def apart_from(plan: Plan, dataset: Dataset, progress: Progress) -> dict[str, Sequence[Candidate]]:
    """The candidates of every experiment that measures others than the run.

    Of scenes of its own one of each image; of the run's data whatever questions are about.
    """
    seed = plan.settings.seed
    found: dict[str, Sequence[Candidate]] = {}
    for name, scenes in plan.own_scenes.items():
        own = open_data(scenes, seed=seed, composing=Scenes(progress))
        samples = own.samples[: plan.limit]
        found[name] = tuple((one, representative(one, seed)) for one in samples)
    asking = [one for one in plan.experiments if experiments()[one].asks and one not in found]
    if asking and (asked := _asked_about(dataset, seed)[: plan.wanted]):
        found |= dict.fromkeys(asking, asked)
    return found


def _asked_about(dataset: Dataset, seed: int) -> tuple[Candidate, ...]:
    """Every object that questions with steps are about, in an order that depends on the seed."""
    found = {
        (sample.image_id, own.object_id): (sample, own)
        for sample in dataset.samples
        for question in sample.questions
        if sample.annotations and question.stepwise
        for own in [object_of(sample, question, seed)]
    }
    return tuple(shuffled(found.values(), seed))


def curation(
    executor: Executor, bench: Bench, store: Store, limit: int | None, progress: Progress
) -> list[int]:
    """Go through the candidates until enough objects are kept; what is done already is not redone.

    Returns:
        The places of the objects that are kept among the candidates.

    Raises:
        DataError: no object was kept.
    """
    candidates = bench.candidates
    progress.stage("curation", len(candidates) if limit is None else limit)
    known = {
        (row["image_id"], row["object_id"]): row["kept"]
        for row in so_far(store, "curation").iter_rows(named=True)
    }
    failed = done(store, "skipped")
    able = [i for i, one in enumerate(candidates) if f"curation-{key(one)}" not in failed]
    asked = (i for i in able if identity(candidates[i]) not in known)
    kept: list[int] = []
    with closing(in_order(executor, curated, asked)) as found:
        for count, place in enumerate(able):
            progress.step(count if limit is None else len(kept))
            if limit is not None and len(kept) >= limit:
                break
            candidate = candidates[place]
            if identity(candidate) not in known:
                _, record = next(found)
                if isinstance(record, SkippedRecord):
                    append(store, "skipped", f"curation-{key(candidate)}", [record])
                    continue
                append(store, "curation", key(candidate), [record])
                if count % FEWEST == 0:
                    bundle(store)
                known[identity(candidate)] = record.kept
            if known[identity(candidate)]:
                kept.append(place)
        progress.step(len(able) if limit is None else len(kept))
    if not kept:
        raise DataError(_nothing_kept(store, len(candidates)))
    return kept


def uncurated(
    executor: Executor, bench: Bench, store: Store, limit: int | None, progress: Progress
) -> list[int]:
    """The first objects whose image and mask can be read, whether the model names them or not.

    Returns:
        Their places among the candidates.

    Raises:
        DataError: none can be read.
    """
    candidates = bench.candidates
    progress.stage("objects", len(candidates) if limit is None else limit)
    kept: list[int] = []
    with closing(in_order(executor, unreadable, range(len(candidates)))) as found:
        for place, skip in found:
            if skip is None:
                kept.append(place)
                progress.step(len(kept))
            else:
                append(store, "skipped", f"data-{key(candidates[place])}", [skip])
            if len(kept) == limit:
                break
    if not kept:
        reasons = "; ".join(so_far(store, "skipped")["reason"].unique().head(3).to_list())
        raise DataError(f"None of {len(candidates)} objects can be read: {reasons}")
    return kept


def curated(bench: Bench, place: int) -> CurationRecord | SkippedRecord:
    """Whether one candidate is kept, or why that can't be known."""
    candidate = bench.candidates[place]
    try:
        with shared_vision(bench.checkpoint):
            return curate(bench.checkpoint, target_of(bench, candidate), bench.settings)
    except OWN_FAULT as error:
        return SkippedRecord("curation", *identity(candidate), "", str(error))


def unreadable(bench: Bench, place: int) -> SkippedRecord | None:
    """Why one candidate can't be read; None where it can."""
    candidate = bench.candidates[place]
    try:
        target_of(bench, candidate)
    except SampleError as error:
        return SkippedRecord("data", *identity(candidate), "", str(error))
    return None


def target_of(bench: Bench, candidate: Candidate) -> Target:
    """A candidate with its pixels read.

    Raises:
        SampleError: the image or the mask can't be used.
    """
    return read_target(*candidate, bench.categories, bench.settings)


def identity(candidate: Candidate) -> tuple[int, int]:
    """The ids of a candidate's image and object."""
    sample, annotation = candidate
    return sample.image_id, annotation.object_id


def key(candidate: Candidate) -> str:
    """The name of an object's part of a table."""
    image, thing = identity(candidate)
    return f"{image}-{thing}"


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
