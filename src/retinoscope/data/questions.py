"""Read a JSON file of image id to questions, in our own form or in the paper's."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from retinoscope.data.reading import LARGEST_ID, read_json
from retinoscope.data.samples import Question, Step
from retinoscope.errors import DataError

FIELDS = ("question", "answer", "kind", "word")
"""The text fields of a question in our own form. `annotation_id` is a whole number or null,
`choices` a list of texts, `steps` a list of steps. Only `question` is required; what else there is
is kept in `Question.raw`."""

DIGITS = len(str(LARGEST_ID))
"""Most digits of an image id."""

STEP = {"op": str, "argument": str, "annotation_ids": list, "inputs": list}
"""The fields of a step and their types. Only `op` is required."""


def read_questions(path: Path, image_ids: Collection[int]) -> dict[int, tuple[Question, ...]]:
    """Questions by image id.

    Two forms are read, also mixed: the paper's, `{"10694": "What is behind the television?"}`
    with one question or a list of them, and our own, `{"1": [{"question": "What is at the left?",
    "answer": "It is a dog.", "kind": "position", "word": "dog", "annotation_id": 7, "choices": [],
    "steps": [{"op": "query", "argument": "name", "annotation_ids": [7], "inputs": []}]}]}`.

    Args:
        path: the JSON file.
        image_ids: ids of the data set's images; questions about other images are left out, as one
            file may serve several splits.

    Raises:
        DataError: the file is missing or not of that form, or none of its images is in the set.
    """
    entries = read_json(path)
    if not isinstance(entries, dict):
        raise _malformed(path, "the file", entries, "an object of image id to questions")
    found: dict[int, tuple[Question, ...]] = {}
    for key, value in entries.items():
        if not (key.isascii() and key.isdigit() and len(key) <= DIGITS):
            raise _malformed(path, "a key", key, "an image id, a whole number")
        listed = value if isinstance(value, list) else [value]
        found[int(key)] = tuple(_question(path, key, entry) for entry in listed)
    kept = {image_id: questions for image_id, questions in found.items() if image_id in image_ids}
    if found and not kept:
        raise DataError(
            f"{path}: none of its {len(found)} image ids is in this data set. Give the questions "
            "that belong to this split."
        )
    return kept


def _question(path: Path, key: str, entry: Any) -> Question:
    """One entry of either form."""
    if isinstance(entry, str):
        return Question(entry)
    if not isinstance(entry, dict) or "question" not in entry:
        raise _malformed(path, f'"{key}"', entry, 'a question, or an object with "question"')
    for name in FIELDS:
        if not isinstance(entry.get(name, ""), str):
            raise _malformed(path, f'"{key}", field "{name}"', entry[name], "text")
    object_id = entry.get("annotation_id")
    if object_id is not None and not isinstance(object_id, int):
        raise _malformed(
            path, f'"{key}", field "annotation_id"', object_id, "a whole number or null"
        )
    choices = entry.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(c, str) for c in choices):
        raise _malformed(path, f'"{key}", field "choices"', choices, "a list of texts")
    steps = entry.get("steps", [])
    if not isinstance(steps, list):
        raise _malformed(path, f'"{key}", field "steps"', steps, "a list of steps")
    known = {*FIELDS, "annotation_id", "choices", "steps"}
    return Question(
        text=entry["question"],
        answer=entry.get("answer", ""),
        word=entry.get("word", ""),
        kind=entry.get("kind", "free"),
        object_id=object_id,
        steps=tuple(_step(path, key, step, number) for number, step in enumerate(steps)),
        choices=tuple(choices),
        raw={name: value for name, value in entry.items() if name not in known},
    )


def _step(path: Path, key: str, entry: Any, number: int) -> Step:
    """One step; its inputs are earlier ones."""
    where = f'"{key}", step {number}'
    if not isinstance(entry, dict) or "op" not in entry:
        raise _malformed(path, where, entry, 'an object with "op"')
    for name, kind in STEP.items():
        if not isinstance(entry.get(name, kind()), kind):
            raise _malformed(path, f'{where}, field "{name}"', entry[name], kind.__name__)
    ids, inputs = entry.get("annotation_ids", []), entry.get("inputs", [])
    if not all(type(i) is int for i in ids):
        raise _malformed(path, f'{where}, field "annotation_ids"', ids, "whole numbers")
    if not all(type(i) is int and 0 <= i < number for i in inputs):
        raise _malformed(path, f'{where}, field "inputs"', inputs, "numbers of earlier steps")
    return Step(entry["op"], entry.get("argument", ""), tuple(ids), tuple(inputs))


def _malformed(path: Path, where: str, given: Any, expected: str) -> DataError:
    shown = repr(given)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return DataError(f"{path}: {where} is {shown}; expected {expected}. Mend the file.")
