"""Run a plan on this machine, resumable, into a run folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from retinoscope.data import Dataset, open_data, select
from retinoscope.data.generated_questions import with_questions
from retinoscope.errors import RunError
from retinoscope.models import Checkpoint, load, mean_from_file
from retinoscope.results.manifest import (
    Manifest,
    ModelIdentity,
    check_same,
    configuration_key,
    installed_versions,
    read_manifest,
    this_machine,
    write_manifest,
)
from retinoscope.results.records import SkippedRecord
from retinoscope.results.store import append, consolidate, so_far
from retinoscope.runs import stages
from retinoscope.runs.mean import MEAN_SEED, OWN_COUNT, mean_dataset, with_mean
from retinoscope.runs.plan import Plan, configuration
from retinoscope.runs.progress import Progress
from retinoscope.runs.workers import Work, working


def run(plan: Plan, progress: Progress) -> Path:
    """Carry out a plan; the same plan again goes on where an interrupted run stopped.

    Args:
        plan: what to do.
        progress: told what is happening.

    Returns:
        The run folder, with its manifest and gathered records.

    Raises:
        RunError: the folder can't be written or belongs to another configuration.
        DataError, ModelError: the data or the model can't be used.
        KeyboardInterrupt: the run was interrupted; everything measured so far is kept.
    """
    progress.stage("loading", 2)
    checkpoint = _load(plan)
    if plan.mean_file is not None:
        checkpoint = replace(checkpoint, mean=mean_from_file(checkpoint, plan.mean_file))
    progress.step(1)
    dataset = open_data(
        plan.data, split=plan.split, questions=plan.questions, seed=plan.settings.seed
    )
    images = _images_of_the_mean(plan)
    progress.step(2)
    with _sitting(plan, checkpoint, dataset, images) as counts:
        _stages(plan, checkpoint, dataset, images, counts, progress)
    return plan.out


def _images_of_the_mean(plan: Plan) -> Dataset | None:
    """What the mean visual token is measured over; None where it is read from a file."""
    if plan.mean_file is not None:
        return None
    return mean_dataset(plan.data, plan.mean_images, plan.mean_wanted or OWN_COUNT, plan.split)


def _load(plan: Plan) -> Checkpoint:
    return load(
        plan.model,
        revision=plan.revision,
        dtype=plan.dtype,
        device=plan.device,
        device_map=plan.device_map,
    )


def _stages(
    plan: Plan,
    checkpoint: Checkpoint,
    dataset: Dataset,
    images: Dataset | None,
    counts: dict[str, int],
    progress: Progress,
) -> None:
    settings = plan.settings
    _skip_files(plan.out, "data", dataset.skipped)
    chosen = select(dataset, plan.filter, seed=settings.seed)
    counts |= {f"objects left out: {reason}": count for reason, count in chosen.left.items()}
    counts["objects that fit the filter"] = chosen.kept
    pairs = with_questions(dataset, chosen.pairs)
    if images is not None:
        checkpoint, mean = with_mean(
            checkpoint, images, plan.mean_wanted, progress, per_position=plan.mean_per_position
        )
        counts["images in the mean visual token"] = mean.images
        _skip_files(plan.out, "mean visual token", mean.skipped)
    if plan.workers > 1 and checkpoint.device.type != "cpu":
        raise RunError(
            f"{plan.workers} workers were asked for, but the model is on {checkpoint.device}, "
            "which one process fills; leave --workers out."
        )
    work = Work(checkpoint, dataset.categories, pairs, settings)
    with working(work, plan.workers, partial(_load, plan)) as each:
        if plan.curated:
            kept = stages.curation(each, pairs, plan.out, plan.wanted, progress)
        else:
            kept = stages.uncurated(work, plan.out, plan.wanted, progress)
        counts["objects to measure"] = len(kept)
        for name in plan.experiments:
            stages.measure(name, each, kept, plan.out, progress)
        if "lens" in plan.experiments:
            stages.sheets(each, kept, plan.out, plan.sheets, progress)


def _skip_files(run: Path, stage: str, reasons: Sequence[str]) -> None:
    """Count files that could not be used, so that the report tells of them."""
    records = [SkippedRecord(stage, -1, -1, "", reason) for reason in reasons]
    append(run, "skipped", stage, records)


@contextmanager
def _sitting(
    plan: Plan, checkpoint: Checkpoint, dataset: Dataset, images: Dataset | None
) -> Iterator[dict[str, int]]:
    """Keep the manifest true while a run goes on, is interrupted, or ends.

    Yields:
        What the stages count, to be filled by them in the order in which it should be read.
    """
    manifest = _opened(plan, checkpoint, dataset, images)
    begun = time.monotonic()
    status = "interrupted"
    counts = {"images": len(dataset.samples)}
    try:
        yield counts
        status = "complete"
    finally:
        consolidate(plan.out)
        finished = _now() if status == "complete" else ""
        seconds = manifest.seconds + time.monotonic() - begun
        ended = replace(manifest, status=status, finished=finished, seconds=round(seconds, 1))
        write_manifest(plan.out, _counted(ended, plan, counts))


def _opened(
    plan: Plan, checkpoint: Checkpoint, dataset: Dataset, images: Dataset | None
) -> Manifest:
    """The manifest of a new run, or that of the one to go on with."""
    choices = configuration(plan, checkpoint, dataset, images)
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"The run folder {plan.out} can't be made ({error}); choose another with --out."
        ) from error
    check_same(plan.out, choices)
    before = read_manifest(plan.out) if (plan.out / "manifest.json").exists() else None
    manifest = Manifest(
        command=plan.command,
        name=plan.out.name,
        configuration=choices,
        key=configuration_key(choices),
        model=ModelIdentity(checkpoint.name, checkpoint.revision, dict(checkpoint.files)),
        data={
            "spec": plan.data,
            "name": dataset.name,
            "images": len(dataset.samples),
            "fingerprint": choices["fingerprint"],
        },
        seeds={"run": plan.settings.seed, "mean scenes": MEAN_SEED},
        versions=installed_versions(),
        machine=this_machine(),
        started=before.started if before else _now(),
        finished="",
        seconds=before.seconds if before else 0.0,
        counts={},
        skipped={},
        status="running",
    )
    write_manifest(plan.out, manifest)
    return manifest


def _counted(manifest: Manifest, plan: Plan, counted: dict[str, int]) -> Manifest:
    """The manifest with what was counted on the way."""
    curated, skipped = so_far(plan.out, "curation"), so_far(plan.out, "skipped")
    counts = dict(counted)
    if plan.curated:
        counts |= {
            "objects described": len(curated),
            "named when whole": int(curated["named_whole"].sum()),
            "also named when noised": int(curated["named_noised"].sum()),
            "objects kept": int(curated["kept"].sum()),
        }
    for table in ("ablation", "lens", "knockout"):
        counts[f"{table} records"] = len(so_far(plan.out, table))
    counts["skips"] = len(skipped)
    reasons = skipped.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return replace(manifest, counts=counts, skipped=dict(reasons.iter_rows()))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
