"""The mean visual token of a run: streamed over a set of images once, resumable, then cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import platformdirs
from filelock import FileLock, Timeout

from retinoscope.data import Composing, Dataset, Sample, open_images
from retinoscope.data import mean_images as images_of
from retinoscope.data.fingerprint import image_fingerprint
from retinoscope.errors import ModelError
from retinoscope.experiments import OwnSettings, Settings
from retinoscope.experiments.bench import Bench
from retinoscope.models import Checkpoint, MeanToken, mean_from_file, read_mean, write_mean
from retinoscope.models.mean import finished
from retinoscope.models.mean_sums import MeanSums, read_sums
from retinoscope.results.manifest import installed_versions
from retinoscope.runs.executors import Executor
from retinoscope.runs.executors.inline import Inline
from retinoscope.runs.mean_groups import summed
from retinoscope.runs.progress import Progress, Scenes
from retinoscope.shipped import EMBEDDED, embedded_folder, is_shipped, shipped_folder

Cached = TypeVar("Cached", MeanToken, MeanSums)

OWN_COUNT = 400
"""Most images of a mean where no images of its own were given for it."""

SHIPPED_MEAN = "embedded_mean.safetensors"
"""The embedded model's own mean, beside its folder; its recipe writes it."""

SHAPING = ("retinoscope", "torch", "transformers", "pillow")
"""Packages whose version is a part of a mean's identity: they read, prepare and embed images."""


def mean_dataset(
    data: str,
    mean_images: str | None,
    count: int,
    split: str | None,
    *,
    composing: Composing | None = None,
) -> Dataset:
    """The images that a run's mean visual token is taken over.

    Args:
        data: the run's data.
        mean_images: as `open_images` takes it; None is what the data keep for it, else the
            data's own.
        count: most of those that the data keep.
        split: of the run's data.
        composing: told of scenes that are composed first.

    Raises:
        DataError: the data can't be read.
    """
    if mean_images is not None:
        return open_images(mean_images)
    return images_of(data, count, split=split, composing=composing)


def with_mean(
    checkpoint: Checkpoint,
    dataset: Dataset,
    count: int | None,
    progress: Progress,
    *,
    per_position: bool = False,
) -> tuple[Checkpoint, MeanToken]:
    """The checkpoint with its mean visual token over (at most `count` of) a data set's images.

    Raises:
        ModelError: as `measured_mean`.
    """
    mean = measured_mean(checkpoint, dataset, count, progress, per_position=per_position)
    return replace(checkpoint, mean=mean.value.to(checkpoint.device)), mean


def shipped_mean(checkpoint: Checkpoint) -> Checkpoint | None:
    """The embedded model with the mean visual token that comes with it, over OWN_COUNT scenes.

    None for others. A run measures its own: it says over which images.
    """
    if not is_shipped(checkpoint.name) or shipped_folder(checkpoint.name) != embedded_folder():
        return None
    found = read_mean(embedded_folder().with_name(SHIPPED_MEAN))
    return replace(checkpoint, mean=found.value.to(checkpoint.device))


def with_known_mean(
    checkpoint: Checkpoint,
    mean_images: str | None,
    mean_file: Path | None,
    progress: Progress,
) -> Checkpoint:
    """The checkpoint with its mean visual token, if there is anything to take it from.

    Args:
        checkpoint: the model; the embedded ones have images of their own.
        mean_images: a folder of images, or data.
        mean_file: a file that holds the mean; it comes before the images.
        progress: told of the images.

    Raises:
        ModelError, DataError: the file or the images can't be used.
    """
    if mean_file is not None:
        return replace(checkpoint, mean=mean_from_file(checkpoint, mean_file))
    if mean_images is None and not is_shipped(checkpoint.name):
        return checkpoint
    if mean_images is None and (known := shipped_mean(checkpoint)):
        return known
    scenes = Scenes(progress)
    images = mean_dataset(EMBEDDED, mean_images, OWN_COUNT, None, composing=scenes)
    return with_mean(checkpoint, images, None if mean_images else OWN_COUNT, progress)[0]


def measured_mean(
    checkpoint: Checkpoint,
    dataset: Dataset,
    count: int | None,
    progress: Progress,
    *,
    per_position: bool = False,
) -> MeanToken:
    """The mean visual token over a data set's images, from the cache where it is known.

    Images are streamed; an interrupted measurement goes on where it stopped, to the same bytes,
    and loses the group of images that it was at. A damaged cache is
    deleted, told of and measured again. Images that can't be used are passed over and listed in
    the result.

    Args:
        checkpoint: the model.
        dataset: the images.
        count: at most so many of them, a fixed random choice; None is all.
        progress: told of every group of images.
        per_position: a mean of each position of the grid instead of one of all.

    Raises:
        ModelError: no image could be used, or the numbers of visual tokens differ per position.
        KeyboardInterrupt: interrupted; the sums so far are kept.
    """
    chosen = chosen_images(dataset, count)
    bench = Bench(checkpoint, (), (), Settings(), OwnSettings(), mean_images=chosen)
    return mean_by(Inline(bench), bench, dataset.skipped, progress, per_position=per_position)


def mean_by(
    executor: Executor,
    bench: Bench,
    left_out: Sequence[str],
    progress: Progress,
    *,
    per_position: bool = False,
) -> MeanToken:
    """As `measured_mean`, over the images of a bench and wherever its work is done.

    Args:
        executor: where; it may have no mean yet.
        bench: the model and the images.
        left_out: why files of their data set are none of them.
        progress: told of every group of images.
        per_position: as in `measured_mean`.

    Raises:
        ModelError, KeyboardInterrupt: as in `measured_mean`.
    """
    path = _cache_path(bench.checkpoint, bench.mean_images, per_position)
    with _alone(path, progress):
        known = _cached(path, read_mean, progress)
        if known is not None:
            return replace(known, skipped=(*left_out, *known.skipped))
        progress.stage("mean visual token", len(bench.mean_images))
        partial = path.with_suffix(".sums.safetensors")
        before = _cached(partial, read_sums, progress) or MeanSums()
        sums = summed(executor, bench, before, partial, progress, per_position)
        mean = finished(replace(sums, skipped=(*left_out, *sums.skipped)))
        # What the data set lists as no image is not of these images, by which the mean is kept.
        write_mean(replace(mean, skipped=sums.skipped), path)
        partial.unlink(missing_ok=True)
    return mean


@contextmanager
def _alone(path: Path, progress: Progress) -> Iterator[None]:
    """Inside, no other process measures the same mean; who comes second waits and finds it.

    Raises:
        ModelError: the cache can't be written.
    """
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.note("Another process measures the same mean visual token; waiting for it.")
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise ModelError(
            f"{path.parent}: the mean visual token can't be kept there ({error}). Choose a folder "
            "that you may write to; the cache's is set by XDG_CACHE_HOME."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _cached(path: Path, read: Callable[[Path], Cached], progress: Progress) -> Cached | None:
    """What is cached, where it is there and whole."""
    if not path.exists():
        return None
    try:
        return read(path)
    except ModelError:
        path.unlink(missing_ok=True)
        progress.note(f"{path} was damaged and is deleted; what it held is measured again.")
        return None


def chosen_images(dataset: Dataset, count: int | None) -> list[Sample]:
    """All samples, or a fixed random choice in their order: folders are often sorted by class."""
    total = len(dataset.samples)
    if count is None or count >= total:
        return list(dataset.samples)
    drawn = np.random.default_rng(0).choice(total, count, replace=False)
    return [dataset.samples[index] for index in sorted(drawn.tolist())]


def _cache_path(checkpoint: Checkpoint, chosen: Sequence[Sample], per_position: bool) -> Path:
    """Where the mean is kept, under a name made of everything that shapes it."""
    versions = installed_versions()
    identity = {
        "model": checkpoint.identity,
        "processor": checkpoint.processor.image_processor.to_dict(),
        "dtype": str(checkpoint.model.dtype),
        "quantisation": _plain(getattr(checkpoint.model.config, "quantization_config", None)),
        "images": image_fingerprint(chosen),
        "per position": per_position,
        "versions": {name: versions[name] for name in SHAPING},
    }
    text = json.dumps(identity, sort_keys=True, default=str)
    key = hashlib.sha256(text.encode()).hexdigest()[:24]
    return Path(platformdirs.user_cache_dir("retinoscope")) / "means" / f"{key}.safetensors"


def _plain(quantisation: Any) -> Any:
    """A quantisation's settings as plain values; it may be a mapping, a settings object or None."""
    return quantisation.to_dict() if hasattr(quantisation, "to_dict") else quantisation
