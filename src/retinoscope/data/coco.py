"""Read a COCO folder: images and one instances JSON.

The JSON is mapped into memory, not read: its annotations, most of it, are decoded one by one, and
what lies behind is given back, so that memory holds the index and no second copy of the file.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec

from retinoscope.data.names import checked_name
from retinoscope.data.questions import read_questions
from retinoscope.data.reading import LARGEST_ID, is_there
from retinoscope.data.samples import Annotation, Box, Dataset, Question, Relation, Sample
from retinoscope.errors import DataError

PROBED = 50
"""How many images are looked for in a candidate image folder before it is dismissed."""

GIVEN_BACK = 100_000
"""Annotations after which the pages of the file that they were read from are given back."""

_NOT_GIVEN = msgspec.Raw(b"")

_Id = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ID)]


class _Relation(msgspec.Struct, gc=False):
    subject: int
    name: str
    object: int


class _Image(msgspec.Struct, gc=False):
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


class _Instances(msgspec.Struct):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[msgspec.Raw]


def read_coco(
    root: str | Path, split: str | None = None, questions: str | Path | None = None
) -> Dataset:
    """Index a COCO data set.

    The instances file is `annotations/instances_<split>.json`, `annotations/instances.json`, or
    the same beside the images; the images lie in `images/`, `<split>/`, `images/<split>/` or the
    folder itself, whichever holds them. Nothing of an image is read yet: a missing or broken
    image is a `SampleError` when it is used. COCO's training split takes seconds and under 1 GB.

    Args:
        root: the data set's folder, or the path of the instances JSON itself.
        split: "val2017" and the like; needed where several instances files lie in the folder.
        questions: a questions JSON, see `read_questions`; by default
            `annotations/questions_<split>.json` or `annotations/questions.json` where present.

    Raises:
        DataError: a file or folder is missing, JSON is broken, a field is missing or of a wrong
            type, an id is given twice or refers to nothing, or a file name leaves the folder.
    """
    instances_path = _find_instances(Path(root), split)
    folder = instances_path.parent
    base = folder.parent if folder.name == "annotations" else folder
    split = instances_path.stem.removeprefix("instances").strip("_-")
    with _mapped(instances_path) as content:
        instances = _parse(content, instances_path)
        _check(instances, instances_path)
        objects = _objects(instances, content, instances_path)
    images = _image_folder(base, split, instances.images, instances_path)
    question_path = Path(questions) if questions else _find_questions(folder, split)
    asked: dict[int, tuple[Question, ...]] = {}
    if question_path:
        asked = read_questions(question_path, {image.id for image in instances.images})
    return Dataset(
        name=f"coco {split}".strip(),
        root=base,
        categories=tuple(dict.fromkeys(category.name for category in instances.categories)),
        samples=_samples(instances.images, objects, images, asked),
    )


def _find_instances(root: Path, split: str | None) -> Path:
    if is_there(root):
        return root
    if not root.is_dir():
        raise DataError(f"{root}: no such file. Give a COCO folder or its instances JSON.")
    pattern = f"instances_{split}.json" if split else "instances*.json"
    found = sorted((root / "annotations").glob(pattern)) or sorted(root.glob(pattern))
    if not found:
        raise DataError(
            f"{root}: no annotations/{pattern}. Expected a COCO folder, with its images and its "
            "instances JSON under annotations/."
        )
    if len(found) > 1:
        splits = ", ".join(path.stem.removeprefix("instances_") for path in found)
        raise DataError(f"{root}: several splits. Choose one of: {splits}.")
    return found[0]


def _find_questions(folder: Path, split: str) -> Path | None:
    names = ([f"questions_{split}.json"] if split else []) + ["questions.json"]
    return next((folder / name for name in names if is_there(folder / name)), None)


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


def _parse(content: mmap.mmap | bytes, path: Path) -> _Instances:
    with _told(path):
        return msgspec.json.decode(content, type=_Instances)


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


def _check(instances: _Instances, path: Path) -> None:
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


def _image_folder(base: Path, split: str, images: list[_Image], path: Path) -> Path:
    """The first likely folder that holds one of the first images."""
    likely = [base / "images" / split, base / split, base / "images", base]
    folders = list(dict.fromkeys(likely if split else [base / "images", base]))
    for folder in folders:
        if any(is_there(folder / image.file_name) for image in images[:PROBED]):
            return folder
    looked = ", ".join(str(folder) for folder in folders)
    raise DataError(f"{path}: none of its first images was found in {looked}. Put them in one.")


def _objects(
    instances: _Instances, content: mmap.mmap | bytes, path: Path
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


def _samples(
    images: list[_Image],
    objects: Mapping[int, list[Annotation]],
    folder: Path,
    questions: dict[int, tuple[Question, ...]],
) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            image_id=image.id,
            path=folder / image.file_name,
            width=image.width,
            height=image.height,
            annotations=tuple(objects[image.id]),
            questions=questions.get(image.id, ()),
            relations=tuple(Relation(r.subject, r.name, r.object) for r in image.relations),
        )
        for image in sorted(images, key=lambda image: image.id)
    )


def _words(attributes: Any) -> tuple[str, ...]:
    """Attributes as words; some tools write names with values, `{"occluded": false}`."""
    if isinstance(attributes, dict):
        return tuple(f"{name}={value}" for name, value in attributes.items())
    return tuple(map(str, attributes)) if isinstance(attributes, list) else ()
