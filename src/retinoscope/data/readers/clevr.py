"""CLEVR: rendered shapes, with programs that lead to each answer.

`scenes/CLEVR_{split}_scenes.json` and `questions/CLEVR_{split}_questions.json`. CLEVR gives no
masks: an object is a circle about its centre, as large as its size and depth make it, and is
marked "approximate". Programs are run on the scene, so that each step tells its objects.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path

from retinoscope.data.images import image_size
from retinoscope.data.readers.clevr_programs import Shapes, follow
from retinoscope.data.readers.fields import Entry, as_entry
from retinoscope.data.readers.files import Found, Gathering, find_file, finish
from retinoscope.data.reading import is_there, read_json
from retinoscope.data.samples import Annotation, Dataset, Question, Relation, Sample
from retinoscope.errors import DataError, SampleError

EXPECTED = "a folder with scenes/, questions/ and images/, or the questions file itself"
RADII = {"large": 0.7, "small": 0.35}
"""Of the shapes, in the units of the scene (CLEVR's properties.json)."""

FOCAL = 35 / 32
"""Focal length in widths of the image: Blender's camera of 35 mm on a sensor of 32 mm."""

CORNERS = 24
"""Of the polygon that stands for a circle."""


def read_clevr(given: Path, split: str | None = None) -> Dataset:
    """Index CLEVR.

    Image ids are CLEVR's indices, object ids count from 1 over all scenes of the file.

    Args:
        given: its folder, or a questions file.
        split: "train" or "val"; needed where several files lie there.

    Raises:
        DataError: a file is missing or broken, or a field is missing or odd.
    """
    patterns = ("questions/*_questions.json", "*_questions.json")
    found = find_file(given, patterns, split, EXPECTED)
    part = found.file.stem.removeprefix("CLEVR_").removesuffix("_questions")
    scenes = _scenes(found, part)
    asked: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in _listed(found.file, "questions"):
        asked[entry.text("image_filename")].append(entry)
    gathering = Gathering(found.root, (f"images/{part}", "images", "."))
    samples, first = [], 1
    for scene in _listed(scenes, "scenes"):
        count = len(scene.listed("objects"))
        image = scene.text("image_filename")
        path = gathering.path(image)
        if path is not None:
            try:
                size = image_size(path)
                samples.append(_sample(scene, path, size, first, asked[image], gathering.skipped))
            except SampleError as error:
                gathering.skipped.append(str(error))
        first += count
    return finish(f"clevr {part}", found.root, samples, gathering.skipped)


def _scenes(found: Found, part: str) -> Path:
    name = f"{found.file.stem.removesuffix('_questions')}_scenes.json"
    paths = [found.root / "scenes" / name, found.root / name]
    file = next((path for path in paths if is_there(path)), None)
    if file is None:
        raise DataError(f"{found.root}: no scenes/{name} for the questions of {part}. Add it.")
    return file


def _listed(path: Path, name: str) -> list[Entry]:
    return as_entry(path, "the file", read_json(path)).entries(name)


def _sample(
    scene: Entry,
    path: Path,
    size: tuple[int, int],
    first: int,
    asked: list[Entry],
    skipped: list[str],
) -> Sample:
    objects = scene.entries("objects")
    shapes = Shapes(
        tuple(
            {name: o.text(name) for name in ("color", "shape", "size", "material")} for o in objects
        ),
        _relationships(scene, len(objects)),
    )
    questions = []
    for entry in asked:
        try:
            questions.append(_question(entry, shapes, first))
        except SampleError as error:
            skipped.append(str(error))
    return Sample(
        image_id=scene.whole("image_index"),
        path=path,
        width=size[0],
        height=size[1],
        annotations=tuple(_circle(o, first + i, size) for i, o in enumerate(objects)),
        questions=tuple(questions),
        relations=tuple(
            Relation(first + subject, name, first + anchor)
            for name, table in shapes.relations.items()
            for anchor, subjects in enumerate(table)
            for subject in subjects
        ),
        raw=scene.rest("objects", "relationships", "relations", "image_filename", "image_index"),
    )


def _relationships(scene: Entry, count: int) -> dict[str, list[list[int]]]:
    """Of each relation and object, which objects stand so to it; two spellings of the field."""
    name = "relations" if "relations" in scene.values else "relationships"
    found = {key: scene.entry(name).listed(key) for key in scene.entry(name).values}
    for key, table in found.items():
        known = (isinstance(row, list) and {*map(type, row)} <= {int} for row in table)
        if not all(known) or not all(0 <= index < count for row in table for index in row):
            raise DataError(
                f"{scene.path}: {scene.where}, {name} {key!r} is {table!r:.60}; expected a list of "
                f"objects' numbers, 0 to {count - 1}, for each object."
            )
    return found


def _question(entry: Entry, shapes: Shapes, first: int) -> Question:
    answer = entry.values.get("answer")
    if isinstance(answer, bool):
        answer = "yes" if answer else "no"
    answer = entry.text("answer") if answer is None else str(answer)
    steps = follow(entry, shapes, answer, first)
    arrived = steps[-1].object_ids
    return Question(
        text=entry.text("question"),
        answer=answer,
        word=answer,
        kind=steps[-1].op,
        object_id=arrived[0] if len(arrived) == 1 else None,
        steps=steps,
        raw=entry.rest("question", "answer", "image_filename", "program"),
    )


def _circle(entry: Entry, object_id: int, size: tuple[int, int]) -> Annotation:
    where = entry.listed("pixel_coords")
    if len(where) != 3 or not all(isinstance(c, int | float) for c in where) or where[2] <= 0:
        raise DataError(
            f"{entry.path}: {entry.where}, field 'pixel_coords' is {where}; expected x, y, depth."
        )
    x, y, depth = where
    scale = entry.text("size")
    if scale not in RADII:
        raise DataError(
            f"{entry.path}: {entry.where}, field 'size' is {scale!r}; expected large or small."
        )
    radius = FOCAL * size[0] * RADII[scale] / depth
    angles = [2 * math.pi * i / CORNERS for i in range(CORNERS)]
    corners = [c for a in angles for c in (x + radius * math.cos(a), y + radius * math.sin(a))]
    left, top = max(x - radius, 0), max(y - radius, 0)
    right, bottom = min(x + radius, size[0]), min(y + radius, size[1])
    return Annotation(
        object_id=object_id,
        class_name=entry.text("shape"),
        area=math.pi * radius**2,
        box=(left, top, right - left, bottom - top),
        crowd=False,
        segmentation=json.dumps([corners]).encode(),
        extent="approximate",
        attributes=tuple(entry.text(name) for name in ("size", "color", "material")),
        raw=entry.rest("color", "shape", "size", "material"),
    )
