"""The sums of a mean visual token, group by group: the same bytes, whoever sums which group."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from pathlib import Path

from torch import Tensor

from retinoscope.data import load_image
from retinoscope.experiments.bench import Bench
from retinoscope.models.mean_sums import MeanSums, merged, with_image, without_image, write_sums
from retinoscope.models.visual_tokens import visual_tokens_of
from retinoscope.runs.executors import Executor, in_order
from retinoscope.runs.progress import Progress

GROUP = 16
"""Images that one worker sums at a time. Groups are of fixed images and merged in their order, so
that rounding doesn't depend on who did which."""

SAVED_EVERY = 30.0
"""Seconds between two writings of the sums: what a killed process loses at most, beside what is
being summed."""


def summed(
    executor: Executor,
    bench: Bench,
    sums: MeanSums,
    partial_file: Path,
    progress: Progress,
    per_position: bool,
) -> MeanSums:
    """The sums over all images of the bench, those of an earlier sitting not again.

    Args:
        executor: where the work is done.
        bench: whose images are summed.
        sums: of those that are gone through already.
        partial_file: where sums are kept on the way.
        progress: told of every group.
        per_position: a mean of each position of the grid instead of one of all.

    Raises:
        ModelError: the numbers of visual tokens differ per position.
        KeyboardInterrupt: interrupted; the sums so far are kept.
    """
    saved = time.monotonic()
    progress.step(sums.place)
    groups = range(sums.place, len(bench.mean_images), GROUP)
    try:
        with closing(in_order(executor, partial(group_sums, per_position), groups)) as coming:
            for _, more in coming:
                sums = merged(sums, more)
                progress.step(sums.place)
                if time.monotonic() - saved > SAVED_EVERY:
                    write_sums(sums, partial_file)
                    saved = time.monotonic()
    finally:
        write_sums(sums, partial_file)
    return sums


def group_sums(per_position: bool, bench: Bench, first: int) -> MeanSums:
    """The sums over one group of the bench's images; those that can't be used are listed.

    Args:
        per_position: as in `summed`.
        bench: the model and the images.
        first: the place of the group's first image.
    """
    sums = MeanSums()
    images = bench.mean_images[first : first + GROUP]
    for found in visual_tokens_of(bench.checkpoint, images, load_image):
        if isinstance(found, Tensor):
            sums = with_image(sums, found, per_position=per_position)
        else:
            sums = without_image(sums, str(found))
    return sums
