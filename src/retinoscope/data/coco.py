"""Read a COCO folder: images and one instances JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retinoscope.data.instances import Image, Instances, read_instances
from retinoscope.data.questions import read_questions
from retinoscope.data.reading import is_there
from retinoscope.data.samples import Dataset, Question, Relation, Sample
from retinoscope.errors import DataError

PROBED = 50
"""How many images are looked for in a candidate image folder before it is dismissed."""


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
    instances = read_instances(instances_path)
    images = _image_folder(base, split, instances.images, instances_path)
    question_path = Path(questions) if questions else _find_questions(folder, split)
    asked: dict[int, tuple[Question, ...]] = {}
    if question_path:
        asked = read_questions(question_path, {image.id for image in instances.images})
    return Dataset(
        name=f"coco {split}".strip(),
        root=base,
        categories=instances.categories,
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


def _image_folder(base: Path, split: str, images: Sequence[Image], path: Path) -> Path:
    """The first likely folder that holds one of the first images."""
    likely = [base / "images" / split, base / split, base / "images", base]
    folders = list(dict.fromkeys(likely if split else [base / "images", base]))
    for folder in folders:
        if any(is_there(folder / image.file_name) for image in images[:PROBED]):
            return folder
    looked = ", ".join(str(folder) for folder in folders)
    raise DataError(f"{path}: none of its first images was found in {looked}. Put them in one.")


def _samples(
    instances: Instances,
    folder: Path,
    questions: dict[int, tuple[Question, ...]],
) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            image_id=image.id,
            path=folder / image.file_name,
            width=image.width,
            height=image.height,
            annotations=instances.objects[image.id],
            questions=questions.get(image.id, ()),
            relations=tuple(Relation(r.subject, r.name, r.object) for r in image.relations),
        )
        for image in sorted(instances.images, key=lambda image: image.id)
    )
