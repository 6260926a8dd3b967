"""COCO's objects for the images of a benchmark that has none, where its files lie beside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from retinoscope.data.instances import read_instances
from retinoscope.data.samples import Sample

WHERE = "annotations/instances*.json"
"""Under a benchmark's folder."""


def with_coco_objects(samples: Iterable[Sample], root: Path) -> list[Sample]:
    """The samples with the objects that COCO has in images of their file names.

    Args:
        samples: of a benchmark; those of other images stay as they are.
        root: its folder.

    Raises:
        DataError: an instances file is broken.
    """
    found = {sample.path.name: sample for sample in samples}
    bare = set(found)
    # A split's file is large: those that images are named after come first, as many as needed.
    files = sorted(root.glob(WHERE), key=lambda path: (not _names(path, bare), path.name))
    for path in files:
        if not bare:
            break
        instances = read_instances(path)
        for image in instances.images:
            if image.file_name in bare:
                objects = instances.objects[image.id]
                found[image.file_name] = replace(found[image.file_name], annotations=objects)
                bare.discard(image.file_name)
    return list(found.values())


def _names(path: Path, images: set[str]) -> bool:
    split = path.stem.removeprefix("instances_")
    return any(split in image for image in images)
