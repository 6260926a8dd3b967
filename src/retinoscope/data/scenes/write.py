"""Write embedded scenes as a COCO folder, the one form that every run reads."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from pycocotools import mask as coco_mask

from retinoscope.data.scenes.arrange import in_turn
from retinoscope.data.scenes.asking import Asked, ask
from retinoscope.data.scenes.classes import CLASSES, NAMES
from retinoscope.data.scenes.compose import SceneObject, compose, mask_box
from retinoscope.data.scenes.language import Question, caption, questions
from retinoscope.data.scenes.layout import SIZE
from retinoscope.data.scenes.render import render
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
    info = _info(count, seed, sprites)

    def draw(number: int) -> WrittenScene:
        scene = compose(seed, number, sprites)
        return WrittenScene(scene.image, scene.objects, tuple(questions(scene.facts)))

    return _write(Path(directory), info, draw, progress)


def write_arranged(
    directory: Path | str,
    kind: str,
    count: int,
    seed: int,
    sprites: SpriteSplit = "train",
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write arranged scenes of one kind as a COCO folder, in the form of `write_scenes`.

    Beyond it an object has its `amodal_segmentation` and `amodal_bbox`, whether it is `painted`
    and its `attributes`; an image has its `relations`, which object stands in front of which; a
    question has its `steps`, with the ids of the objects of each.

    Args:
        directory: the folder to make. One that holds the very same scenes is left as it is.
        kind: a kind of layout, see `arrange`; or several joined by "+", which take turns.
        count: number of scenes, 1 or more.
        seed: seed of the collection, 0 or more; it gives the same scenes every time.
        sprites: "train" or "heldout".
        progress: called with the number of scenes written so far.

    Returns:
        The folder.

    Raises:
        DataError: as `write_scenes`, or `kind` is unknown.
    """
    for place in range(kind.count("+") + 1):
        in_turn(kind, 0, place, sprites)
    info = {**_info(count, seed, sprites), "kind": kind}

    def draw(number: int) -> WrittenScene:
        picture = render(in_turn(kind, seed, number, sprites))
        asked = tuple(ask(picture.layout))
        return WrittenScene(picture.image, picture.objects, asked, picture.in_front, True)

    return _write(Path(directory), info, draw, progress)


@dataclass(frozen=True)
class WrittenScene:
    """What is written of a scene.

    Attributes:
        image: RGB, (192, 192, 3), 0 to 255.
        objects: from back to front.
        asked: questions about it.
        in_front: pairs of objects (front, behind).
        whole: whether masks and boxes of whole objects are written.
    """

    image: UInt8[np.ndarray, "192 192 3"]
    objects: tuple[SceneObject, ...]
    asked: tuple[Question | Asked, ...]
    in_front: tuple[tuple[int, int], ...] = ()
    whole: bool = False


Draw = Callable[[int], WrittenScene]


def _info(count: int, seed: int, sprites: SpriteSplit) -> dict[str, Any]:
    if count < 1 or seed < 0:
        raise DataError(f"count={count}, seed={seed}; need count of 1 or more, seed of 0 or more")
    return {
        "description": "Retinoscope's embedded scenes",
        "version": VERSION,
        "seed": seed,
        "count": count,
        "sprites": sprites,
    }


def _write(
    directory: Path, info: dict[str, Any], draw: Draw, progress: Callable[[int], None] | None
) -> Path:
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
        _write_into(partial, info, draw, progress)
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


def _write_into(
    folder: Path, info: dict[str, Any], draw: Draw, progress: Callable[[int], None] | None
) -> None:
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    images, annotations, captions = [], [], []
    asked: dict[str, list[dict[str, Any]]] = {}
    for image_id in range(1, info["count"] + 1):
        scene = draw(image_id - 1)
        name = f"{image_id:06d}.png"
        # Packing tighter would take longer than composing.
        Image.fromarray(scene.image).save(folder / "images" / name, compress_level=1)
        first = len(annotations) + 1
        image = {"id": image_id, "file_name": name, "width": SIZE, "height": SIZE, "license": 1}
        images.append(image | _relations(scene, first))
        annotations += [
            _annotation(thing, first + i, image_id) | (_whole(thing) if scene.whole else {})
            for i, thing in enumerate(scene.objects)
        ]
        rng = np.random.default_rng((info["seed"], image_id - 1, 1))
        facts = [thing.fact for thing in scene.objects]
        captions.append({"id": image_id, "image_id": image_id, "caption": caption(facts, rng)})
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
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": NAMES.index(thing.name) + 1,
        "segmentation": _run_lengths(thing.mask),
        "area": int(thing.mask.sum()),
        "bbox": _bbox(thing.box),
        "iscrowd": 0,
        "position": thing.position,
        "colour": thing.colour,
    }


def _whole(thing: SceneObject) -> dict[str, Any]:
    return {
        "amodal_segmentation": _run_lengths(thing.whole),
        "amodal_bbox": _bbox(mask_box(thing.whole)),
        "painted": thing.painted,
        "attributes": [thing.colour] if thing.painted else [],
    }


def _relations(scene: WrittenScene, first: int) -> dict[str, Any]:
    listed = [
        {"subject": first + front, "name": "in front of", "object": first + behind}
        for front, behind in scene.in_front
    ]
    return {"relations": listed} if listed else {}


def _run_lengths(mask: Bool[np.ndarray, "192 192"]) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    counts = cast(bytes, encoded["counts"]).decode("ascii")
    return {"size": list(encoded["size"]), "counts": counts}


def _bbox(box: tuple[int, int, int, int]) -> list[int]:
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]


def _asked(scene: WrittenScene, first: int) -> list[dict[str, Any]]:
    return [
        {
            "question": q.question,
            "answer": q.answer,
            "kind": q.kind,
            "word": q.word,
            "annotation_id": None if q.subject is None else first + q.subject,
        }
        | _steps(q, first)
        for q in scene.asked
    ]


def _steps(asked: Question | Asked, first: int) -> dict[str, Any]:
    """The steps of a question, where it has any, by the ids of annotations."""
    if isinstance(asked, Question):
        return {}
    steps = [
        {
            "op": step.op,
            "argument": step.argument,
            "annotation_ids": [first + i for i in step.object_ids],
            "inputs": list(step.inputs),
        }
        for step in asked.steps
    ]
    return {"steps": steps}


def _dump(folder: Path, name: str, content: dict[str, Any]) -> None:
    text = json.dumps(content, separators=(",", ":"))
    (folder / "annotations" / f"{name}.json").write_text(text + "\n", "utf-8")
