"""The job that a plan is, with what is known of its data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from retinoscope.data.selection import Candidate
from retinoscope.runs.cost.estimate import Job
from retinoscope.runs.plan import Plan

KEPT = 1 / 3
"""Share of the candidates that curation keeps, where nobody says: a guess."""

PHOTO_PIXELS, PHOTO_BYTES = 640 * 480, 160_000
"""Of an image of COCO."""

SAMPLED = 50
"""Images whose files are looked at for their size."""


def job_of(
    plan: Plan, candidates: Sequence[Candidate], mean_images: int, kept: float = KEPT
) -> Job:
    """The job of a plan on data that were read.

    Args:
        plan: what is to be done.
        candidates: the objects that fit its filter.
        mean_images: that the mean visual token is measured over; 0 where it is known.
        kept: share of the candidates that curation keeps, over 0 to 1.
    """
    samples = [sample for sample, _ in islice(candidates, SAMPLED)]
    sizes = [size for sample in samples if (size := _size(sample.path))]
    return sized(
        plan,
        len(candidates),
        mean_images,
        kept,
        plan.wanted,
        pixels=float(np.mean([one.width * one.height for one in samples])),
        image_bytes=float(np.mean(sizes)) if sizes else 0.0,
    )


def sized(
    plan: Plan,
    candidates: int,
    mean_images: int,
    kept: float,
    limit: int | None,
    *,
    pixels: float = PHOTO_PIXELS,
    image_bytes: float = PHOTO_BYTES,
) -> Job:
    """The job of a plan on data of which only their size is known.

    Args:
        plan: what is to be done.
        candidates: number of objects that fit its filter.
        mean_images: that the mean visual token is measured over; 0 where it is known.
        kept: share of the candidates that curation keeps, over 0 to 1.
        limit: objects to measure at most; None is every one.
        pixels: of one image.
        image_bytes: of its file.
    """
    able = round(candidates * kept) if plan.curated else candidates
    objects = able if limit is None else min(limit, able)
    # Where all that are kept are wanted, all are looked at.
    looked_at = candidates if objects == able else min(candidates, round(objects / kept))
    return Job(
        experiments=plan.experiments,
        objects=objects,
        looked_at=looked_at if plan.curated else 0,
        mean_images=mean_images,
        max_new_tokens=plan.settings.max_new_tokens,
        pixels=pixels,
        image_bytes=image_bytes,
        most=plan.most,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
