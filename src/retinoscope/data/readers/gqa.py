"""GQA: questions with the steps to their answers, on images with scene graphs.

`{split}_balanced_questions.json` holds {id: {question, answer, imageId, semantic, annotations,
types, ...}}, `{split}_sceneGraphs.json` {imageId: {width, height, objects}}. Operations and their
arguments keep GQA's words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retinoscope.data.boxes import boxed
from retinoscope.data.images import image_size
from retinoscope.data.readers.fields import Entry, as_entry
from retinoscope.data.readers.files import Found, Gathering, find_file, finish
from retinoscope.data.reading import is_there, read_json
from retinoscope.data.samples import Annotation, Dataset, Question, Relation, Sample, Step
from retinoscope.errors import DataError, SampleError

EXPECTED = (
    "a folder with *_questions.json, *_sceneGraphs.json and images/, or the questions file itself"
)
_IDS = re.compile(r"\s*\(([-\d,\s]*)\)\s*$")
_OTHERS = 10**9
"""Images that are not Visual Genome's are called n161313 and the like; so much is added to their
number, so that ids stay whole and distinct."""


def read_gqa(given: Path, split: str | None = None) -> Dataset:
    """Index GQA.

    Object ids are GQA's. An object whose box is not inside its image is left out and named in
    `Dataset.skipped`; steps keep its id.

    Args:
        given: its folder, or a questions file.
        split: "val_balanced" and the like; needed where several questions files lie there.

    Raises:
        DataError: a file is missing or broken, or a field is missing or odd.
    """
    found = find_file(given, ("*_questions.json", "questions/*_questions.json"), split, EXPECTED)
    asked: defaultdict[str, list[Question]] = defaultdict(list)
    for key, entry in _table(found.file, "question"):
        asked[entry.text("imageId")].append(_question(key, entry))
    graphs = _graphs(found)
    described = dict(_table(graphs, "image")) if graphs else {}
    gathering = Gathering(found.root, ("images", "."))
    samples = []
    for image, questions in asked.items():
        number = _number(found.file, image)
        path = gathering.path(f"{image}.jpg")
        if path is None:
            continue
        try:
            graph = described.get(image)
            size = _size(graph) if graph else image_size(path)
        except SampleError as error:
            gathering.skipped.append(str(error))
            continue
        objects, relations = _objects(graph, size, gathering.skipped) if graph else ((), ())
        raw = graph.rest("width", "height", "objects") if graph else {}
        samples.append(
            Sample(number, path, *size, objects, tuple(questions), relations=relations, raw=raw)
        )
    return finish(f"gqa {found.file.stem}", found.root, samples, gathering.skipped)


def _table(path: Path, what: str) -> list[tuple[str, Entry]]:
    content = read_json(path)
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: a {type(content).__name__}; expected an object of {what}s by id.")
    return [(key, as_entry(path, f"{what} {key}", value)) for key, value in content.items()]


def _graphs(found: Found) -> Path | None:
    """The scene graphs of the questions' split, None where there are none."""
    prefix = found.file.name.split("_")[0]
    folders = (found.root, found.root / "sceneGraphs", found.file.parent)
    paths = [folder / f"{prefix}_sceneGraphs.json" for folder in folders]
    return next((path for path in paths if is_there(path)), None)


def _number(path: Path, image: str) -> int:
    digits = image.removeprefix("n")
    if not (digits.isascii() and digits.isdigit()):
        raise DataError(f"{path}: imageId {image!r}; expected a number, or n and a number.")
    return int(digits) + _OTHERS * image.startswith("n")


def _size(graph: Entry) -> tuple[int, int]:
    return graph.whole("width"), graph.whole("height")


def _question(key: str, entry: Entry) -> Question:
    answer = entry.text("answer")
    types = entry.entry("types", {})
    spans = entry.entry("annotations", {}).entry("answer", {}).values
    named = {object_id for value in spans.values() for object_id in _ids(str(value))}
    return Question(
        text=entry.text("question"),
        answer=entry.text("fullAnswer", answer),
        word=answer,
        kind=types.text("structural", "free"),
        object_id=named.pop() if len(named) == 1 else None,
        steps=tuple(_step(step, i) for i, step in enumerate(entry.entries("semantic", []))),
        raw={"question_id": key, **entry.rest("question", "answer", "fullAnswer", "semantic")},
    )


def _step(entry: Entry, number: int) -> Step:
    """One operation: "select" of "table (1231798)" arrives at object 1231798, "(-)" at none."""
    argument = entry.text("argument")
    inputs = entry.listed("dependencies", [])
    if not all(type(i) is int and 0 <= i < number for i in inputs):
        raise DataError(
            f"{entry.path}: {entry.where}, field 'dependencies' is {inputs}; expected numbers of "
            "earlier steps."
        )
    ids = _IDS.search(argument)
    return Step(
        op=entry.text("operation"),
        argument=_IDS.sub("", argument),
        object_ids=_ids(ids[1]) if ids else (),
        inputs=tuple(inputs),
    )


def _ids(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.replace(",", " ").split() if part.isdigit())


def _objects(
    graph: Entry, size: tuple[int, int], skipped: list[str]
) -> tuple[tuple[Annotation, ...], tuple[Relation, ...]]:
    found: list[Annotation] = []
    relations: list[Relation] = []
    objects = graph.entry("objects")
    for key in objects.values:
        entry = objects.entry(key)
        object_id = _object_id(entry, key)
        try:
            found.append(_object(graph.where, entry, object_id, size))
        except SampleError as error:
            skipped.append(str(error))
        relations += [
            Relation(object_id, relation.text("name"), relation.whole("object"))
            for relation in entry.entries("relations", [])
        ]
    return tuple(found), tuple(relations)


def _object_id(entry: Entry, key: str) -> int:
    if not (key.isascii() and key.isdigit()):
        raise DataError(f"{entry.path}: {entry.where}: an object's id is a number.")
    return int(key)


def _object(image: str, entry: Entry, object_id: int, size: tuple[int, int]) -> Annotation:
    x, y, width, height = (entry.number(side) for side in ("x", "y", "w", "h"))
    box = (x, y, width, height)
    plain = boxed(f"{entry.path}, {image}", entry.text("name"), box, object_id, size)
    raw: dict[str, Any] = entry.rest("name", "x", "y", "w", "h", "attributes", "relations")
    return Annotation(
        plain.object_id,
        plain.class_name,
        plain.area,
        plain.box,
        plain.crowd,
        plain.segmentation,
        plain.extent,
        tuple(entry.listed("attributes", [])),
        raw=raw,
    )
