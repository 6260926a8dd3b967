"""A stable name for samples, made of their content alone: equal for equal data wherever it lies."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from retinoscope.data.content import ABSENT, content_hashes
from retinoscope.data.samples import Annotation, Dataset, Sample, Segment, Segmentation
from retinoscope.errors import SampleError

_VALUES = attrgetter(*(field.name for field in fields(Annotation)))


def fingerprint(dataset: Dataset) -> str:
    """A hash of everything that a run measures on a data set.

    What counts are the samples in their order: ids, the bytes of image and mask files,
    annotations, relations and questions, and the names of the classes. Where files lie and what
    they are called doesn't.

    Args:
        dataset: an index of samples.

    Returns:
        32 hexadecimal digits.
    """
    masks = content_hashes(
        path
        for sample in dataset.samples
        for item in sample.annotations
        for shape in (item.segmentation, item.amodal)
        if (path := _mask_file(shape)) is not None
    )
    described = (
        (
            sample.image_id,
            [_annotation(item, masks) for item in sample.annotations],
            sample.relations,
            sample.raw,
        )
        for sample in dataset.samples
    )
    asked = (sample.questions for sample in dataset.samples)
    images = image_fingerprint(dataset.samples)
    parts = (_encoded([images, dataset.categories]), _encoded(described), _encoded(asked))
    return digest(itertools.chain.from_iterable(parts))


def image_fingerprint(samples: Sequence[Sample]) -> str:
    """A hash of the samples' images alone, in their order: their bytes, and the sizes expected.

    Returns:
        32 hexadecimal digits.
    """
    files = content_hashes(sample.path for sample in samples if sample.read is None)
    contents = ((_image(sample, files), sample.width, sample.height) for sample in samples)
    return digest(_encoded(contents))


def digest(parts: Iterable[bytes]) -> str:
    """A hash of contents in their order, 32 hexadecimal digits."""
    state = hashlib.sha256()
    for part in parts:
        state.update(f"{len(part)}:".encode())
        state.update(part)
    return state.hexdigest()[:32]


def _encoded(values: Iterable[object]) -> Iterable[bytes]:
    encoder = msgspec.msgpack.Encoder()
    return (encoder.encode(value) for value in values)


def _mask_file(shape: Segmentation | None) -> Path | None:
    match shape:
        case Path():
            return shape
        case Segment(path=path):
            return path
        case _:
            return None


def _annotation(item: Annotation, masks: dict[Path, str]) -> list[object]:
    values = _VALUES(item)
    return [_shape(value, masks) for value in values] if masks else [*values]


def _shape(value: Any, masks: dict[Path, str]) -> object:
    """A value of an annotation; where it names a file, the file's content stands for it."""
    match value:
        case Path():
            return masks[value]
        case Segment(path=path, number=number):
            return masks[path], number
        case _:
            return value


def _image(sample: Sample, files: dict[Path, str]) -> str:
    if sample.read is None:
        return files[sample.path]
    try:
        return hashlib.sha256(sample.read()).hexdigest()
    except SampleError:
        return ABSENT
