"""The mean visual token of a run: computed once for a model and a set of images, then cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import platformdirs
from PIL import Image

from retinoscope.data import Dataset, embedded_scenes, load_image, open_data
from retinoscope.errors import SampleError
from retinoscope.models import Checkpoint, MeanToken, mean_token, read_mean, write_mean
from retinoscope.results.manifest import installed_versions
from retinoscope.runs.progress import Progress

MEAN_SEED = 900_001
"""Seed of the embedded scenes that only serve for the mean; no other scenes use it."""


def mean_dataset(data: str, mean_images: str | None, count: int, split: str | None) -> Dataset:
    """The images that a run's mean visual token is taken over.

    Raises:
        DataError: the data can't be read.
    """
    if mean_images is not None:
        return open_data(mean_images)
    if data.partition(":")[0] == "embedded":
        return embedded_scenes(count, seed=MEAN_SEED)
    return open_data(data, split=split)


def with_mean(
    checkpoint: Checkpoint, dataset: Dataset, count: int, progress: Progress
) -> tuple[Checkpoint, MeanToken]:
    """The checkpoint with its mean visual token over (at most `count` of) a data set's images.

    Images that can't be read are passed over; the mean says how many it holds.

    Raises:
        ModelError: no image could be read, or the cached mean is broken.
    """
    path = _cache_path(checkpoint, dataset, count)
    if path.exists():
        mean = read_mean(path)
    else:
        progress.stage("mean visual token", min(count, len(dataset.samples)))
        mean = mean_token(checkpoint, _images(dataset, count), progress=progress.step)
        write_mean(mean, path)
    return replace(checkpoint, mean=mean.value.to(checkpoint.device)), mean


def _images(dataset: Dataset, count: int) -> Iterator[Image.Image]:
    for sample in dataset.samples[:count]:
        try:
            yield load_image(sample)
        except SampleError:
            continue


def _cache_path(checkpoint: Checkpoint, dataset: Dataset, count: int) -> Path:
    identity = {
        "name": checkpoint.name,
        "revision": checkpoint.revision,
        "files": dict(checkpoint.files),
        "dtype": str(checkpoint.model.dtype),
        "data": dataset.fingerprint,
        "count": count,
        "version": installed_versions()["retinoscope"],
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]
    return Path(platformdirs.user_cache_dir("retinoscope")) / "means" / f"{key}.safetensors"
