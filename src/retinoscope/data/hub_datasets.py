"""Read a Hugging Face dataset by the names of its columns.

The text after `datasets:` is a hub name, the folder of a dataset that was saved to disk, or a
folder of files that `datasets.load_dataset` reads, then perhaps `?` and choices joined by `&`, such
as `datasets:me/photos?objects=things&box=xyxy`:

    image=image              the column of images
    objects=objects          the column of objects: a list of records, or a record of lists
    bbox=bbox                in each object: its box
    box=xywh                 or xyxy: what a box's four numbers are, in pixels
    category=category        in each object: its class, a name or a ClassLabel
    segmentation=segmentation   in each object, optional: COCO polygons or run lengths
    question=question        optional: a column with a question, or a list of them
    config=...  revision=... of a hub dataset

Rows stay in Arrow files, mapped into memory: an image is read when it is used.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from retinoscope.data.boxes import boxed
from retinoscope.data.images import image_size
from retinoscope.data.samples import Annotation, Box, Dataset, Question, Sample
from retinoscope.errors import DataError, SampleError

UNLOADABLE = (OSError, ValueError, KeyError, RuntimeError, ImportError)
"""What `datasets` raises where a name or folder can't be opened."""


SAVED = ("state.json", "dataset_dict.json")
"""What `save_to_disk` leaves in a folder; `load_dataset` looks through any other."""


@dataclass(frozen=True)
class Columns:
    """Where things are in a dataset; see the module's text."""

    image: str = "image"
    objects: str = "objects"
    bbox: str = "bbox"
    box: str = "xywh"
    category: str = "category"
    segmentation: str = "segmentation"
    question: str = "question"
    config: str = ""
    revision: str = ""


def read_datasets(text: str, split: str | None = None) -> Dataset:
    """Index a Hugging Face dataset.

    Image ids are row numbers, object ids count from 1. Where the dataset has columns `width` and
    `height` no image is opened yet. Rows and objects that can't be used are named in
    `Dataset.skipped`.

    Args:
        text: the name or folder and the columns, as the module's text says.
        split: which split, where there are several.

    Raises:
        DataError: `datasets` is not installed, nothing can be opened under that name, the split
            or a column is missing or of another type, or a choice is not known.
    """
    name, _, query = text.partition("?")
    columns = _columns(text, query)
    table, split = _table(name, columns, split)
    _check_columns(name, table, columns)
    where = f"{name}{f' {split}' if split else ''}"
    labels = _labels(table.features.get(columns.objects), columns.category)
    samples: list[Sample] = []
    skipped: list[str] = []
    ids = itertools.count(1)
    for row, (values, picture) in enumerate(_rows(table, columns)):
        called = f"{where}, row {row}"
        try:
            size = _size(values, picture, called)
        except SampleError as error:
            skipped.append(str(error))
            continue
        found: list[Annotation] = []
        for item in _items(values.get(columns.objects)):
            try:
                found.append(_annotation(item, columns, labels, called, next(ids), size))
            except SampleError as error:
                skipped.append(str(error))
        asked = _questions(values.get(columns.question))
        samples.append(Sample(row, Path(called), *size, tuple(found), asked, picture))
    if not samples:
        raise DataError(f"{where}: no row has an image that can be read. {'; '.join(skipped[:3])}")
    present = dict.fromkeys(item.class_name for s in samples for item in s.annotations)
    return Dataset(
        name=f"datasets {where}",
        root=Path(name),
        categories=tuple(labels) or tuple(sorted(present)),
        samples=tuple(samples),
        skipped=tuple(skipped),
    )


def _columns(text: str, query: str) -> Columns:
    known = [field.name for field in fields(Columns)]
    chosen = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(chosen.keys() - set(known))
    if unknown or chosen.get("box", "xywh") not in ("xywh", "xyxy"):
        wrong = ", ".join(unknown) or f"box={chosen['box']}"
        raise DataError(
            f"data 'datasets:{text}': {wrong} is not known. Choose from {', '.join(known)}; "
            "box is xywh or xyxy."
        )
    return Columns(**chosen)


def _table(name: str, columns: Columns, split: str | None) -> tuple[Any, str]:
    """The dataset's one table and its split's name, "" where it has none."""
    try:
        # Imported here: an optional extra, and slow to import.
        import datasets
    except ImportError as error:
        raise DataError(
            "Reading Hugging Face datasets needs the package `datasets`; "
            "`pip install 'retinoscope[datasets]'` brings it."
        ) from error
    folder = Path(name).expanduser()
    found: Any
    try:
        if any((folder / name).is_file() for name in SAVED):
            found = datasets.load_from_disk(str(folder))
        else:
            options = {"name": columns.config, "revision": columns.revision}
            given: dict[str, Any] = {key: value for key, value in options.items() if value}
            source = str(folder) if folder.is_dir() else name
            found = datasets.load_dataset(source, **given)
    except UNLOADABLE as error:
        raise DataError(
            f"datasets:{name} can't be opened ({error}). Give a hub name, or a folder written by "
            "Dataset.save_to_disk or read by datasets.load_dataset."
        ) from error
    if isinstance(found, datasets.Dataset):
        return found, str(found.split or "")
    chosen = split or (next(iter(found)) if len(found) == 1 else "")
    if chosen not in found:
        raise DataError(f"datasets:{name}: split {split!r}. Choose one of: {', '.join(found)}.")
    return found[chosen], chosen


def _check_columns(name: str, table: Any, columns: Columns) -> None:
    """The image column is there and holds images; columns that were named are there."""
    missing = [
        given
        for field in ("image", "objects", "question")
        if (given := getattr(columns, field)) not in table.column_names
        and (field == "image" or given != field)
    ]
    if missing:
        raise DataError(
            f"datasets:{name} has no column {', '.join(missing)}. It has "
            f"{', '.join(table.column_names)}; name them as in datasets:{name}?image=..."
        )
    kind = type(table.features[columns.image]).__name__
    if kind != "Image":
        raise DataError(
            f"datasets:{name}: column {columns.image} holds {kind}, not images. Cast it with "
            f"dataset.cast_column({columns.image!r}, datasets.Image())."
        )


def _rows(table: Any, columns: Columns) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Each row's other columns, and what reads its image's file."""
    import datasets

    pictures = table.select_columns([columns.image]).cast_column(
        columns.image, datasets.Image(decode=False)
    )
    used = ("width", "height", columns.objects, columns.question)
    others = table.select_columns([name for name in used if name in table.column_names])
    rows: Iterable[Any] = others if others.column_names else ({} for _ in range(len(table)))
    for row, values in enumerate(rows):
        yield values, partial(_content, pictures, columns.image, row)


def _content(pictures: Any, column: str, row: int) -> bytes:
    """The content of one row's image file.

    Raises:
        SampleError: the row holds no image, or names a file that can't be read.
    """
    cell = pictures[row][column] or {}
    if cell.get("bytes"):
        return cell["bytes"]
    try:
        return Path(cell.get("path") or "").read_bytes()
    except OSError as error:
        raise SampleError(
            f"row {row}, column {column}: there is no image ({error}). Remove the row."
        ) from error


def _size(values: Mapping[str, Any], picture: Any, called: str) -> tuple[int, int]:
    width, height = values.get("width"), values.get("height")
    if isinstance(width, int) and isinstance(height, int):
        return width, height
    return image_size(picture(), name=called)


def _items(objects: Any) -> list[Mapping[str, Any]]:
    """A row's objects, from a list of records or a record of lists."""
    if not objects:
        return []
    if isinstance(objects, Mapping):
        lists = {key: value for key, value in objects.items() if isinstance(value, list)}
        length = max(map(len, lists.values()), default=0)
        return [{k: v[i] for k, v in lists.items() if i < len(v)} for i in range(length)]
    return list(objects)


def _annotation(
    item: Mapping[str, Any],
    columns: Columns,
    labels: list[str],
    called: str,
    object_id: int,
    size: tuple[int, int],
) -> Annotation:
    category = item.get(columns.category)
    if isinstance(category, int) and 0 <= category < len(labels):
        category = labels[category]
    box = item.get(columns.bbox)
    numbers = [side for side in box or [] if isinstance(side, int | float)]
    if not isinstance(category, str) or len(numbers) != 4:
        raise SampleError(
            f"{called}: an object with {columns.category} {category!r} and {columns.bbox} {box!r}; "
            "expected a class name (or ClassLabel) and four numbers."
        )
    first, second, third, fourth = map(float, numbers)
    corner = (first, second)
    measured: Box = (*corner, third, fourth)
    if columns.box == "xyxy":
        measured = (*corner, third - first, fourth - second)
    drawn = boxed(called, category.replace("_", " "), measured, object_id, size)
    shape = item.get(columns.segmentation)
    if not shape:
        return drawn
    area = item.get("area")
    return Annotation(
        object_id=object_id,
        class_name=drawn.class_name,
        area=float(area) if isinstance(area, int | float) else drawn.area,
        box=measured,
        crowd=bool(item.get("iscrowd")),
        segmentation=json.dumps(shape, default=_text).encode(),
    )


def _text(value: Any) -> str:
    """COCO's run lengths may be bytes, which JSON has not."""
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    raise TypeError(f"{type(value).__name__} in a segmentation")


def _questions(asked: Any) -> tuple[Question, ...]:
    texts = [asked] if isinstance(asked, str) else list(asked or [])
    return tuple(Question(text) for text in texts if isinstance(text, str) and text.strip())


def _labels(feature: Any, category: str) -> list[str]:
    """The names of a ClassLabel somewhere inside the objects' column; none for other types."""
    if isinstance(feature, Mapping):
        return _labels(feature.get(category), category)
    inner = getattr(feature, "feature", None)
    return _labels(inner, category) if inner is not None else list(getattr(feature, "names", []))
