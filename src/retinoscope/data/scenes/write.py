"""Write embedded scenes as a COCO folder, the one form that every run reads."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from retinoscope.data.scenes.classes import CLASSES, NAMES
from retinoscope.data.scenes.compose import Scene, SceneObject, compose
from retinoscope.data.scenes.language import caption, questions
from retinoscope.data.scenes.layout import SIZE
from retinoscope.data.scenes.sprites import SpriteSplit
from retinoscope.errors import DataError

VERSION = "1"
"""Changes whenever the same seed would give other scenes."""


def write_scenes(
    directory: Path | str,
    count: int,
    seed: int,
    sprites: SpriteSplit = "train",
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write scenes as a COCO folder.

    The folder holds `images/000001.png` and so on, and in `annotations/` the files
    `instances.json` (with masks as compressed run lengths and, beyond COCO, each thing's
    `position` and `colour`), `captions.json` and `questions.json`. It is written beside its
    final place and renamed, so that a folder is whole or not there.

    Args:
        directory: the folder to make. One that holds the very same scenes is left as it is.
        count: number of scenes, 1 or more.
        seed: seed of the collection, 0 or more; it gives the same scenes every time.
        sprites: "train" or "heldout".
        progress: called with the number of scenes written so far.

    Returns:
        The folder.

    Raises:
        DataError: `count` or `seed` is out of range, `sprites` is unknown, or the folder holds
            something else.
    """
    directory = Path(directory)
    if count < 1 or seed < 0:
        raise DataError(f"count={count}, seed={seed}; need count of 1 or more, seed of 0 or more")
    info = {
        "description": "Retinoscope's embedded scenes",
        "version": VERSION,
        "seed": seed,
        "count": count,
        "sprites": sprites,
    }
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        if _written_info(directory) == info:
            return directory
        raise DataError(
            f"{directory} exists and holds other things than these scenes ({info}); "
            "remove it or name another folder"
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        _write_into(partial, info, progress)
        partial.chmod(0o755)
        if directory.exists():
            directory.rmdir()
        partial.rename(directory)
    except BaseException:
        shutil.rmtree(partial)
        raise
    return directory


def _written_info(directory: Path) -> dict[str, Any] | None:
    """Return the info of a scene folder, None if it is something else."""
    file = directory / "annotations" / "instances.json"
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text("utf-8")).get("info")
    except (json.JSONDecodeError, AttributeError):
        return None


def _write_into(folder: Path, info: dict[str, Any], progress: Callable[[int], None] | None) -> None:
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    images, annotations, captions = [], [], []
    asked: dict[str, list[dict[str, Any]]] = {}
    for image_id in range(1, info["count"] + 1):
        scene = compose(info["seed"], image_id - 1, info["sprites"])
        name = f"{image_id:06d}.png"
        Image.fromarray(scene.image).save(folder / "images" / name)
        images.append(
            {"id": image_id, "file_name": name, "width": SIZE, "height": SIZE, "license": 1}
        )
        first = len(annotations) + 1
        annotations += [
            _annotation(thing, first + i, image_id) for i, thing in enumerate(scene.objects)
        ]
        rng = np.random.default_rng((info["seed"], scene.index, 1))
        captions.append(
            {"id": image_id, "image_id": image_id, "caption": caption(scene.facts, rng)}
        )
        asked[str(image_id)] = _asked(scene, first)
        if progress is not None:
            progress(image_id)
    head = {"info": info, "licenses": _LICENSES, "images": images}
    _dump(folder, "instances", {**head, "annotations": annotations, "categories": _categories()})
    _dump(folder, "captions", {**head, "annotations": captions})
    _dump(folder, "questions", asked)


_LICENSES = [
    {
        "id": 1,
        "name": "Composed of sprites under Apache-2.0, MIT and CC-BY-4.0; see NOTICE",
        "url": "https://creativecommons.org/licenses/by/4.0/",
    }
]


def _categories() -> list[dict[str, Any]]:
    return [
        {"id": i, "name": name, "supercategory": CLASSES[name].kind}
        for i, name in enumerate(NAMES, 1)
    ]


def _annotation(thing: SceneObject, annotation_id: int, image_id: int) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(thing.mask, np.uint8))
    counts = cast(bytes, encoded["counts"]).decode("ascii")
    left, top, right, bottom = thing.box
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": NAMES.index(thing.name) + 1,
        "segmentation": {"size": list(encoded["size"]), "counts": counts},
        "area": int(thing.mask.sum()),
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": 0,
        "position": thing.position,
        "colour": thing.colour,
    }


def _asked(scene: Scene, first: int) -> list[dict[str, Any]]:
    return [
        {
            "question": q.question,
            "answer": q.answer,
            "kind": q.kind,
            "word": q.word,
            "annotation_id": None if q.subject is None else first + q.subject,
        }
        for q in questions(scene.facts)
    ]


def _dump(folder: Path, name: str, content: dict[str, Any]) -> None:
    text = json.dumps(content, separators=(",", ":"))
    (folder / "annotations" / f"{name}.json").write_text(text + "\n", "utf-8")
