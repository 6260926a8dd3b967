"""Read COCO's instances JSON: which images there are, and which objects they hold.

The JSON is mapped into memory, not read: its annotations, most of it, are decoded one by one, and
what lies behind is given back, so that memory holds the index and no second copy of the file.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec

from retinoscope.data.names import checked_name
from retinoscope.data.reading import LARGEST_ID
from retinoscope.data.samples import Annotation, Box
from retinoscope.errors import DataError

GIVEN_BACK = 100_000
"""Annotations after which the pages of the file that they were read from are given back."""

_NOT_GIVEN = msgspec.Raw(b"")

_Id = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ID)]


class _Relation(msgspec.Struct, gc=False):
    subject: int
    name: str
    object: int


class Image(msgspec.Struct, gc=False):
    """An image as the file has it; its name is a path under the folder of images."""

    id: _Id
    file_name: str
    width: int
    height: int
    relations: tuple[_Relation, ...] = ()


class _Category(msgspec.Struct, gc=False):
    id: _Id
    name: str


class _Object(msgspec.Struct, gc=False):
    id: _Id
    image_id: _Id
    category_id: _Id
    area: float
    bbox: Box
    segmentation: msgspec.Raw
    iscrowd: int = 0
    attributes: Any = ()
    amodal_segmentation: msgspec.Raw = _NOT_GIVEN


class _Parsed(msgspec.Struct):
    images: list[Image]
    categories: list[_Category]
    annotations: list[msgspec.Raw]


@dataclass(frozen=True)
class Instances:
    """What an instances file holds.

    Attributes:
        images: in the file's order.
        categories: every class name, in the file's order.
        objects: the objects of each image, by its id.
    """

    images: tuple[Image, ...]
    categories: tuple[str, ...]
    objects: Mapping[int, tuple[Annotation, ...]]


def read_instances(path: Path) -> Instances:
    """Index an instances file.

    Raises:
        DataError: JSON is broken, a field is missing or of a wrong type, an id is given twice or
            refers to nothing, or a file name leaves the folder.
    """
    with _mapped(path) as content:
        parsed = _parse(content, path)
        _check(parsed, path)
        objects = _objects(parsed, content, path)
    return Instances(
        tuple(parsed.images),
        tuple(dict.fromkeys(category.name for category in parsed.categories)),
        {image: tuple(found) for image, found in objects.items()},
    )


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap | bytes]:
    """A file's content, mapped into memory inside; an empty file can't be mapped.

    Raises:
        DataError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            empty = file.seek(0, 2) == 0
            content = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read ({error}). Check its rights.") from error
    yield content


def _parse(content: mmap.mmap | bytes, path: Path) -> _Parsed:
    with _told(path):
        return msgspec.json.decode(content, type=_Parsed)


@contextmanager
def _told(path: Path, place: Callable[[], str] = str) -> Iterator[None]:
    """Inside, what is wrong with the JSON is a DataError that names the place."""
    try:
        yield
    except msgspec.ValidationError as error:
        what, at, inside = str(error).partition(" - at `$")
        told = f"{what} - at `${place()}{inside}" if at else f"{what} - at `${place()}`"
        raise DataError(
            f"{path}: {told}. Expected COCO's instances format; add or mend the field."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a whole JSON file ({error}). Fetch it again.") from error
    except RecursionError as error:
        raise DataError(
            f"{path}: values are nested too deep to be COCO's. Fetch it again."
        ) from error


def _check(instances: _Parsed, path: Path) -> None:
    """Ids are unique; file names stay inside the folder; sizes are sizes."""
    _unique((image.id for image in instances.images), "images", path)
    _unique((category.id for category in instances.categories), "categories", path)
    for category in instances.categories:
        try:
            checked_name(category.name)
        except ValueError as error:
            raise DataError(f"{path}: category {category.id}: {error}.") from error
    for image in instances.images:
        name = PurePosixPath(image.file_name)
        if name.is_absolute() or ".." in name.parts or not name.parts:
            raise DataError(
                f"{path}: image {image.id} has file_name {image.file_name!r}. Expected a path "
                "inside the image folder."
            )
        if image.width < 1 or image.height < 1:
            raise DataError(
                f"{path}: image {image.id} has width {image.width} and height {image.height}. "
                "Expected pixels, at least 1."
            )


def _unique(ids: Iterable[int], field: str, path: Path) -> set[int]:
    seen: set[int] = set()
    for number in ids:
        if number in seen:
            raise DataError(f"{path}: id {number} is given twice in {field}. Ids must be unique.")
        seen.add(number)
    return seen


def _objects(
    instances: _Parsed, content: mmap.mmap | bytes, path: Path
) -> Mapping[int, list[Annotation]]:
    """Every object by its image; the instances' own list of them is emptied on the way.

    Raises:
        DataError: an annotation is malformed, or refers to what is not there, or an id is given
            twice.
    """
    names = {category.id: category.name for category in instances.categories}
    objects: dict[int, list[Annotation]] = {image.id: [] for image in instances.images}
    decoder = msgspec.json.Decoder(_Object)
    waiting, count = instances.annotations[::-1], len(instances.annotations)
    _give_back(content)
    instances.annotations.clear()

    def read() -> Iterator[int]:
        while waiting:
            if len(waiting) % GIVEN_BACK == 0:
                _give_back(content)
            item = decoder.decode(waiting.pop())
            if item.image_id not in objects or item.category_id not in names:
                field = "category_id" if item.image_id in objects else "image_id"
                raise DataError(
                    f"{path}: annotation {item.id} has {field} {getattr(item, field)}, which is "
                    "not in the file. Add the entry, or remove the annotation."
                )
            objects[item.image_id].append(_annotation(item, names[item.category_id]))
            yield item.id

    with _told(path, lambda: f".annotations[{count - len(waiting) - 1}]"):
        ids = _unique(read(), "annotations", path)
    for image in instances.images:
        for relation in image.relations:
            if not {relation.subject, relation.object} <= ids:
                raise DataError(
                    f"{path}: image {image.id} has a relation {relation.name!r} between "
                    f"{relation.subject} and {relation.object}; expected ids of annotations."
                )
    return objects


def _give_back(content: mmap.mmap | bytes) -> None:
    """Let go of the pages that were read; where they are needed again, they come back."""
    if isinstance(content, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        content.madvise(mmap.MADV_DONTNEED)


def _annotation(item: _Object, name: str) -> Annotation:
    return Annotation(
        *(item.id, name, item.area, item.bbox, bool(item.iscrowd)),
        segmentation=bytes(item.segmentation),
        attributes=_words(item.attributes),
        amodal=bytes(item.amodal_segmentation) or None,
    )


def _words(attributes: Any) -> tuple[str, ...]:
    """Attributes as words; some tools write names with values, `{"occluded": false}`."""
    if isinstance(attributes, dict):
        return tuple(f"{name}={value}" for name, value in attributes.items())
    return tuple(map(str, attributes)) if isinstance(attributes, list) else ()
