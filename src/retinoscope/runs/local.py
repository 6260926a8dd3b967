"""Run a plan on this machine, resumable, into a run folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from retinoscope.data import Dataset, open_data, source_of
from retinoscope.data.generated_questions import with_questions
from retinoscope.data.sources import MEAN_SEED
from retinoscope.errors import RunError
from retinoscope.experiments.bench import Bench
from retinoscope.models import Checkpoint, load, mean_from_file
from retinoscope.models.place import device_name
from retinoscope.results.claim import claim
from retinoscope.results.experiment import experiments
from retinoscope.results.lock import driving
from retinoscope.results.manifest import (
    Manifest,
    ModelIdentity,
    changed_versions,
    check_same,
    configuration_key,
    installed_versions,
    read_manifest,
    this_machine,
    versions_of_sittings,
    write_manifest,
)
from retinoscope.results.measured import Store, append, bundle, row_count, so_far
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import SkippedRecord
from retinoscope.results.store import consolidate
from retinoscope.runs.candidates import apart_from, curation, selected, uncurated
from retinoscope.runs.cost.line import cost_line
from retinoscope.runs.executors import Executor, executing
from retinoscope.runs.mean import OWN_COUNT, chosen_images, mean_by, mean_dataset
from retinoscope.runs.measuring import measure
from retinoscope.runs.plan import Plan, configuration
from retinoscope.runs.progress import Progress, Scenes


def run(plan: Plan, progress: Progress) -> Path:
    """Carry out a plan; the same plan again goes on where an interrupted run stopped.

    Args:
        plan: what to do.
        progress: told what is happening.

    Returns:
        The run folder, with its manifest and gathered records.

    Raises:
        RunError: the folder can't be written, belongs to another configuration or is being
            measured into by another process; or an experiment measured none of the objects.
        DataError, ModelError: the data or the model can't be used.
        KeyboardInterrupt: the run was interrupted; everything measured so far is kept.
    """
    with driving(plan.out):
        progress.stage("model", 1)
        checkpoint = _load(plan)
        _check_workers(plan, checkpoint)
        if plan.mean_file is not None:
            checkpoint = replace(checkpoint, mean=mean_from_file(checkpoint, plan.mean_file))
        progress.step(1)
        dataset, images = _data(plan, progress)
        choices = configuration(plan, checkpoint, dataset, images)
        with _sitting(plan, checkpoint, dataset, choices, progress) as (store, counts):
            _stages(plan, checkpoint, dataset, images, store, counts, progress)
    return plan.out


def _data(plan: Plan, progress: Progress) -> tuple[Dataset, Dataset | None]:
    """The data, and the images of the mean visual token; None where it is read from a file."""
    progress.stage("data", 1)
    scenes, seed = Scenes(progress), plan.settings.seed
    dataset = open_data(
        plan.data, split=plan.split, questions=plan.questions, seed=seed, composing=scenes
    )
    images: Dataset | None = dataset
    if plan.mean_file is not None:
        images = None
    elif plan.mean_images is not None or source_of(plan.data).mean is not None:
        count = plan.mean_wanted or OWN_COUNT
        images = mean_dataset(plan.data, plan.mean_images, count, plan.split, composing=scenes)
    if not scenes.composed:
        progress.step(1)
    return dataset, images


def _load(plan: Plan) -> Checkpoint:
    return load(
        plan.model,
        revision=plan.revision,
        dtype=plan.dtype,
        device=plan.device,
        device_map=plan.device_map,
    )


def _check_workers(plan: Plan, checkpoint: Checkpoint) -> None:
    if plan.on is None and (plan.workers or 1) > 1 and checkpoint.device.type != "cpu":
        raise RunError(
            f"{plan.workers} workers were asked for, but the model is on {checkpoint.device}, "
            "which one process fills; leave --workers out, or give --on ray for several GPUs."
        )


def _stages(
    plan: Plan,
    checkpoint: Checkpoint,
    dataset: Dataset,
    images: Dataset | None,
    store: Store,
    counts: dict[str, int],
    progress: Progress,
) -> None:
    settings = plan.settings
    _skip_files(store, "data", dataset.skipped)
    apart = apart_from(plan, dataset, progress)
    chosen = selected(plan, dataset, needed=not {*plan.experiments} <= {*apart})
    counts |= {f"objects left out: {reason}": count for reason, count in chosen.left.items()}
    counts["objects that fit the filter"] = chosen.kept
    candidates = with_questions(dataset, chosen.candidates)
    averaged = [] if images is None else chosen_images(images, plan.mean_wanted)
    if candidates and (line := cost_line(plan, checkpoint, candidates, len(averaged))):
        progress.note(line)
    bench = Bench(
        checkpoint, dataset.categories, candidates, settings, OwnSettings(), apart, averaged
    )
    with executing(bench, plan.workers, partial(_load, plan), plan.on) as executor:
        if images is not None:
            per_position = plan.mean_per_position
            mean = mean_by(executor, bench, images.skipped, progress, per_position=per_position)
            executor = executor.with_mean(mean.value)
            counts["images in the mean visual token"] = mean.images
            _skip_files(store, "mean visual token", mean.skipped)
        _measure(plan, executor, bench, store, counts, progress)


def _measure(
    plan: Plan,
    executor: Executor,
    bench: Bench,
    store: Store,
    counts: dict[str, int],
    progress: Progress,
) -> None:
    """Choose the objects and measure them, once the model has its mean visual token."""
    own = {name: plan.own_settings(name) for name in plan.experiments}
    for name, own_candidates in bench.apart.items():
        whose = "of its own scenes" if name in plan.own_scenes else "asked about"
        counts[f"{name}: objects {whose}"] = len(own_candidates)
    kept: list[int] = []
    if not {*own} <= {*bench.apart}:
        choose = curation if plan.curated else uncurated
        kept = choose(executor, bench, store, plan.wanted, progress)
        counts["objects to measure"] = len(kept)
    measure(own, plan.most, executor, bench, kept, plan.sheets, store, progress)


def _skip_files(store: Store, stage: str, reasons: Sequence[str]) -> None:
    """Count files that could not be used, so that the report tells of them."""
    records = [SkippedRecord(stage, -1, -1, "", reason) for reason in reasons]
    append(store, "skipped", stage, records)


@contextmanager
def _sitting(
    plan: Plan,
    checkpoint: Checkpoint,
    dataset: Dataset,
    choices: dict[str, Any],
    progress: Progress,
) -> Iterator[tuple[Store, dict[str, int]]]:
    """Keep the manifest true while a run goes on, is interrupted, or ends.

    Yields:
        Where the stages put what they measure; and what they count, to be filled by them in the
        order in which it should be read.
    """
    manifest = _opened(plan, checkpoint, dataset, choices, progress)
    # Where the work is done the working folder may be another.
    store = Store(plan.out.absolute(), manifest.key, plan.parts or "")
    begun = time.monotonic()
    status = "interrupted"
    counts = {"images": len(dataset.samples)}
    try:
        yield store, counts
        status = "complete"
    finally:
        consolidate(store)
        finished = _now() if status == "complete" else ""
        seconds = manifest.seconds + time.monotonic() - begun
        ended = replace(manifest, status=status, finished=finished, seconds=round(seconds, 1))
        write_manifest(plan.out, _counted(ended, plan, store, counts))


def _opened(
    plan: Plan,
    checkpoint: Checkpoint,
    dataset: Dataset,
    choices: dict[str, Any],
    progress: Progress,
) -> Manifest:
    """The manifest of a new run, or that of the one to go on with."""
    key, versions = configuration_key(choices), installed_versions()
    check_same(plan.out, choices)
    before = read_manifest(plan.out) if (plan.out / "manifest.json").exists() else None
    _claimed(Store(plan.out, key, plan.parts or ""), before, versions, progress)
    manifest = Manifest(
        command=plan.command,
        name=plan.out.name,
        configuration=choices,
        key=key,
        model=ModelIdentity(checkpoint.name, checkpoint.revision, dict(checkpoint.files)),
        data={
            "spec": plan.data,
            "name": dataset.name,
            "images": len(dataset.samples),
            "fingerprint": choices["fingerprint"],
        },
        seeds={"run": plan.settings.seed, "mean scenes": MEAN_SEED},
        versions=versions_of_sittings(before.versions, versions) if before else versions,
        machine=this_machine() | {"device": _devices(checkpoint), **_cluster(plan)},
        started=before.started if before else _now(),
        finished="",
        seconds=before.seconds if before else 0.0,
        counts={},
        skipped={},
        status="running",
    )
    write_manifest(plan.out, manifest)
    return manifest


def _claimed(
    store: Store, before: Manifest | None, versions: dict[str, str], progress: Progress
) -> None:
    """Make the folder this run's, and tell what is worth knowing of what was there.

    Raises:
        RunError: something there is of another run.
    """
    for path in claim(store):
        progress.note(f"{path} was damaged and is deleted; what it held is measured again.")
    if before is None and (store.run / "records").exists():
        progress.note(
            f"{store.run} has records of these options but no manifest; they are kept, though "
            "which package versions measured them is not known."
        )
    bundle(store)
    changed = changed_versions(before.versions, versions) if before else []
    if changed:
        progress.note(
            "This run was begun with other versions, so that its numbers may differ within the "
            f"run: {'; '.join(changed)}."
        )


def _counted(manifest: Manifest, plan: Plan, store: Store, counted: dict[str, int]) -> Manifest:
    """The manifest with what was counted on the way."""
    curated, skipped = so_far(store, "curation"), so_far(store, "skipped")
    counts = dict(counted)
    if plan.curated:
        counts |= {
            "objects described": len(curated),
            "named when whole": int(curated["named_whole"].sum()),
            "also named when noised": int(curated["named_noised"].sum()),
            "objects kept": int(curated["kept"].sum()),
        }
    for name in plan.experiments:
        for table in experiments()[name].records:
            counts[f"{table} records"] = row_count(store, table)
    counts["skips"] = len(skipped)
    reasons = skipped.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return replace(manifest, counts=counts, skipped=dict(reasons.iter_rows()))


def _devices(checkpoint: Checkpoint) -> str:
    """Where the weights lie; several devices where a map shares them out."""
    there = {parameter.device: None for parameter in checkpoint.model.parameters()}
    return ", ".join(map(device_name, there))


def _cluster(plan: Plan) -> dict[str, str]:
    """That others than this machine measured, where they did."""
    return {} if plan.on is None else {"measured on": "a Ray cluster"}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
