"""COCO panoptic: every pixel belongs to a thing or to stuff such as sky and grass.

`annotations/panoptic_{split}.json` with images, annotations and categories; the pixels are numbers
of segments in PNG files of the folder `annotations/panoptic_{split}/`.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from retinoscope.data.readers.fields import Entry, as_entry
from retinoscope.data.readers.files import Found, Gathering, find_file, finish
from retinoscope.data.reading import read_json
from retinoscope.data.samples import Annotation, Box, Dataset, Sample, Segment
from retinoscope.errors import DataError

EXPECTED = "a folder with annotations/panoptic_*.json, its PNG files and the images, or that file"


def read_panoptic(given: Path, split: str | None = None) -> Dataset:
    """Index COCO panoptic; an object's attribute says whether it is "thing" or "stuff".

    Object ids count from 1 over the whole file; a segment's number in its PNG is in `raw`.

    Args:
        given: its folder, or the annotations file.
        split: "val2017" and the like; needed where several files lie there.

    Raises:
        DataError: a file is missing or broken, a field is missing or odd, or an id refers to
            nothing.
    """
    found = find_file(given, ("annotations/panoptic_*.json", "panoptic_*.json"), split, EXPECTED)
    table = as_entry(found.file, "the file", read_json(found.file))
    categories = {entry.whole("id"): entry for entry in table.entries("categories")}
    images = {entry.whole("id"): entry for entry in table.entries("images")}
    part = found.file.stem.removeprefix("panoptic_")
    gathering = Gathering(found.root, (part, f"images/{part}", "images", "."))
    maps = _maps(found)
    ids = itertools.count(1)
    samples = []
    for entry in table.entries("annotations"):
        image = images.get(entry.whole("image_id"))
        if image is None:
            raise DataError(
                f"{found.file}: {entry.where} has image_id {entry.whole('image_id')}, which is not "
                "among the images."
            )
        png = maps / entry.text("file_name")
        objects = tuple(
            _object(segment, next(ids), png, categories)
            for segment in entry.entries("segments_info")
        )
        path = gathering.path(image.text("file_name"))
        if path is not None:
            size = image.whole("width"), image.whole("height")
            raw = image.rest("id", "file_name", "width", "height")
            samples.append(Sample(image.whole("id"), path, *size, objects, raw=raw))
    return finish(f"panoptic {part}", found.root, samples, gathering.skipped)


def _maps(found: Found) -> Path:
    """The folder of the PNG files, called as the annotations file."""
    folders = (found.file.with_suffix(""), found.root / found.file.stem)
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise DataError(f"{folders[0]}: no such folder. Unpack the PNG files of {found.file.name}.")
    return folder


def _object(entry: Entry, object_id: int, png: Path, categories: dict[int, Entry]) -> Annotation:
    category = categories.get(entry.whole("category_id"))
    if category is None:
        raise DataError(
            f"{entry.path}: {entry.where} has category_id {entry.whole('category_id')}, which is "
            "not among the categories."
        )
    number = entry.whole("id")
    return Annotation(
        object_id=object_id,
        class_name=category.text("name"),
        area=entry.number("area"),
        box=_box(entry),
        crowd=bool(entry.whole("iscrowd", 0)),
        segmentation=Segment(png, number),
        attributes=("thing" if category.whole("isthing") else "stuff",),
        raw={"segment": number, **entry.rest("id", "category_id", "area", "bbox", "iscrowd")},
    )


def _box(entry: Entry) -> Box:
    values = entry.listed("bbox")
    if len(values) != 4 or not all(isinstance(value, int | float) for value in values):
        raise DataError(
            f"{entry.path}: {entry.where}, field 'bbox' is {values}; expected x, y, width, height."
        )
    x, y, width, height = map(float, values)
    return x, y, width, height
