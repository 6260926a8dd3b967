"""Read any folder of images, with masks or boxes where they are given, or one single image.

The layout, everything optional but the images (searched in subfolders too):

    photo.jpg
    photo.mask.png               one object, its class unknown ("object")
    photo.dog.mask.png           the class in the name; traffic_light reads "traffic light"
    photo.dog.2.mask.png         a second one
    masks/photo.dog.png          the same, in a folder beside the image; photo_dog.png too
    objects.csv or objects.json  in the top folder, see `retinoscope.data.objects_table`
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from retinoscope.data.boxes import boxed
from retinoscope.data.images import image_size
from retinoscope.data.mask_files import MASK_ENDING, MASK_FOLDER, UNNAMED, masks_beside
from retinoscope.data.masks import mask_image
from retinoscope.data.objects_table import ObjectRow, read_objects
from retinoscope.data.samples import Annotation, Box, Dataset, Sample
from retinoscope.errors import DataError, SampleError

SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2",
    ".avif",
)  # fmt: skip
"""Files whose names end so, in any case, are images."""


def image_files(root: str | Path) -> list[Path]:
    """Every image under a folder, sorted by path; masks and hidden files are left out.

    Links to folders are not entered. A link to a file counts only where the file lies under the
    folder too, so that a folder of somebody else's can't show what it does not hold; see
    `outside`.

    No file is opened, so that ImageNet's 50,000 validation images are listed in a moment.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder. Give a folder of images.")
    found: list[Path] = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name != MASK_FOLDER and not name.startswith(".")]
        images = (Path(folder, name) for name in names if _is_image(name))
        found.extend(path for path in images if not outside(path, root))
    if not found:
        raise DataError(
            f"{root}: no image in this folder. Known endings: {' '.join(SUFFIXES)}. Links to "
            "files elsewhere are not followed; give the folder that they lie in."
        )
    return sorted(found)


def outside(path: Path, root: Path) -> bool:
    """Whether a path is a link to something that does not lie under a folder."""
    return path.is_symlink() and not path.resolve().is_relative_to(root.resolve())


def read_folder(root: str | Path) -> Dataset:
    """Index a folder of images in the layout that this module describes.

    Image ids count from 1 in the order of the paths, object ids from 1 in the same order. Files
    that can't be used (a broken image or mask, a box outside its image, a table's row for an
    image that is not there) don't stop the reading: they are named in `Dataset.skipped`.

    Raises:
        DataError: there is no such folder, no image in it, or its objects table is malformed.
    """
    root = Path(root)
    paths = image_files(root)
    table = read_objects(root)
    masks = masks_beside(paths)
    object_ids = itertools.count(1)
    samples: list[Sample] = []
    skipped: list[str] = []
    for path in paths:
        rows = [ObjectRow(name, None, mask) for mask, name in masks.get(path, ())]
        rows += table.pop(path.relative_to(root).as_posix(), [])
        try:
            width, height = image_size(path)
        except SampleError as error:
            skipped.append(str(error))
            continue
        annotations: list[Annotation] = []
        for row in rows:
            try:
                annotations.append(_annotation(path, row, next(object_ids), width, height))
            except SampleError as error:
                skipped.append(str(error))
        samples.append(Sample(len(samples) + 1, path, width, height, tuple(annotations)))
    skipped += [f"{root}: the objects table names {name}, not there." for name in table]
    return Dataset(
        name=f"folder {root.resolve().name}",
        root=root,
        categories=tuple(sorted(set(_class_names(samples)))),
        samples=tuple(samples),
        skipped=tuple(skipped),
    )


def single_image(
    path: str | Path,
    box: Box | None = None,
    mask: str | Path | None = None,
    class_name: str = UNNAMED,
) -> Dataset:
    """A data set of one image with one object, or none where neither box nor mask is given.

    Args:
        path: the image file.
        box: x, y, width, height of the object in pixels of the upright image.
        mask: a mask image of the object, see `mask_image`.
        class_name: what the object is.

    Raises:
        DataError: both a box and a mask are given.
        SampleError: the image or the mask can't be read, or the box lies outside the image.
    """
    path = Path(path)
    if box is not None and mask is not None:
        raise DataError(f"{path}: a box and a mask were given. Give one of them.")
    width, height = image_size(path)
    annotations: tuple[Annotation, ...] = ()
    if box is not None or mask is not None:
        row = ObjectRow(class_name, box, Path(mask) if mask is not None else None)
        annotations = (_annotation(path, row, 1, width, height),)
    sample = Sample(1, path, width, height, annotations)
    return Dataset(
        name=path.name,
        root=path.parent,
        categories=tuple(_class_names([sample])),
        samples=(sample,),
    )


def _is_image(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(SUFFIXES) and not lower.endswith(MASK_ENDING) and lower[0] != "."


def _class_names(samples: list[Sample]) -> Iterator[str]:
    return (item.class_name for sample in samples for item in sample.annotations)


def _annotation(path: Path, row: ObjectRow, object_id: int, width: int, height: int) -> Annotation:
    """An object of an image from its mask, measured here, or from its box."""
    if row.mask is not None:
        pixels = mask_image(row.mask)
        if pixels.shape != (height, width) or not pixels.any():
            raise SampleError(
                f"{row.mask}: the mask is {pixels.shape[1]} x {pixels.shape[0]} with "
                f"{pixels.sum()} pixels of object; expected the image's {width} x {height} and "
                "at least one. Draw it on the upright image."
            )
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        x, y = float(columns[0]), float(rows[0])
        box = (x, y, float(columns[-1] + 1 - x), float(rows[-1] + 1 - y))
        area = float(pixels.sum())
        return Annotation(object_id, row.class_name, area, box, False, row.mask)
    assert row.box is not None, "an objects row has a box or a mask"
    return boxed(str(path), row.class_name, row.box, object_id, (width, height))
