"""Read a COCO folder: images and one instances JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
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
    annotations: list[_Object]


def read_coco(
    root: str | Path, split: str | None = None, questions: str | Path | None = None
) -> Dataset:
    """Index a COCO data set.

    The instances file is `annotations/instances_<split>.json`, `annotations/instances.json`, or
    the same beside the images; the images lie in `images/`, `<split>/`, `images/<split>/` or the
    folder itself, whichever holds them. Nothing of an image is read yet: a missing or broken
    image is a `SampleError` when it is used. 118,000 images take seconds.

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
    instances = _parse(_read(instances_path), instances_path)
    _check(instances, instances_path)
    images = _image_folder(base, split, instances.images, instances_path)
    question_path = Path(questions) if questions else _find_questions(folder, split)
    asked: dict[int, tuple[Question, ...]] = {}
    if question_path:
        asked = read_questions(question_path, {image.id for image in instances.images})
    return Dataset(
        name=f"coco {split}".strip(),
        root=base,
        categories=tuple(dict.fromkeys(category.name for category in instances.categories)),
        samples=_samples(instances, images, asked),
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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error}). Check its rights.") from error


def _parse(content: bytes, path: Path) -> _Instances:
    try:
        return msgspec.json.decode(content, type=_Instances)
    except msgspec.ValidationError as error:
        raise DataError(
            f"{path}: {error}. Expected COCO's instances format; add or mend the field."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a whole JSON file ({error}). Fetch it again.") from error
    except RecursionError as error:
        raise DataError(
            f"{path}: values are nested too deep to be COCO's. Fetch it again."
        ) from error


def _check(instances: _Instances, path: Path) -> None:
    """Ids are unique and refer to something; file names stay inside the folder; sizes are sizes."""
    image_ids = _unique((image.id for image in instances.images), "images", path)
    category_ids = _unique((category.id for category in instances.categories), "categories", path)
    object_ids = _unique((item.id for item in instances.annotations), "annotations", path)
    for category in instances.categories:
        try:
            checked_name(category.name)
        except ValueError as error:
            raise DataError(f"{path}: category {category.id}: {error}.") from error
    for image in instances.images:
        for relation in image.relations:
            if not {relation.subject, relation.object} <= object_ids:
                raise DataError(
                    f"{path}: image {image.id} has a relation {relation.name!r} between "
                    f"{relation.subject} and {relation.object}; expected ids of annotations."
                )
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
    for item in instances.annotations:
        if item.image_id not in image_ids or item.category_id not in category_ids:
            field = "category_id" if item.image_id in image_ids else "image_id"
            raise DataError(
                f"{path}: annotation {item.id} has {field} {getattr(item, field)}, which is not in "
                "the file. Add the entry, or remove the annotation."
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


def _samples(
    instances: _Instances, folder: Path, questions: dict[int, tuple[Question, ...]]
) -> tuple[Sample, ...]:
    names = {category.id: category.name for category in instances.categories}
    objects: defaultdict[int, list[Annotation]] = defaultdict(list)
    for item in instances.annotations:
        objects[item.image_id].append(
            Annotation(
                object_id=item.id,
                class_name=names[item.category_id],
                area=item.area,
                box=item.bbox,
                crowd=bool(item.iscrowd),
                segmentation=bytes(item.segmentation),
                attributes=_words(item.attributes),
                amodal=bytes(item.amodal_segmentation) or None,
            )
        )
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
        for image in sorted(instances.images, key=lambda image: image.id)
    )


def _words(attributes: Any) -> tuple[str, ...]:
    """Attributes as words; some tools write names with values, `{"occluded": false}`."""
    if isinstance(attributes, dict):
        return tuple(f"{name}={value}" for name, value in attributes.items())
    return tuple(map(str, attributes)) if isinstance(attributes, list) else ()
