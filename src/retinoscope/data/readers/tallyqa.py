"""TallyQA: how many are there? `[{question, answer: a whole number, image, issimple, ...}]`.

Where COCO's instances files lie beside, its images have objects, and a simple question that asks
for a class of which as many are annotated as it says has two steps: select them, and count.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import inflect

from retinoscope.data.readers.beside import with_coco_objects
from retinoscope.data.readers.fields import as_entry
from retinoscope.data.readers.files import Gathering, find_file, finish
from retinoscope.data.reading import read_json
from retinoscope.data.samples import Dataset, Question, Sample, Step
from retinoscope.errors import DataError

_ASKED = re.compile(
    r"how many (.+?) (?:are|is) (?:there|(?:in|on) (?:the|this) (?:image|picture|photo))\b",
    re.IGNORECASE,
)
EXPECTED = "a folder with train.json or test.json and the images under their names, or such a file"


def read_tallyqa(given: Path, split: str | None = None) -> Dataset:
    """Index TallyQA; `issimple`, `data_source` and ids stay in each question's `raw`.

    Args:
        given: its folder, or one of its files.
        split: "train" or "test"; needed where both files lie in the folder.

    Raises:
        DataError: a file is missing or broken, or a field is missing or odd.
    """
    found = find_file(given, ("*.json",), split, EXPECTED)
    content = read_json(found.file)
    if not isinstance(content, list):
        raise DataError(f"{found.file}: a {type(content).__name__}; expected a list of questions.")
    gathering = Gathering(found.root, (".", "images"))
    for number, item in enumerate(content):
        entry = as_entry(found.file, f"question {number}", item)
        answer = str(entry.whole("answer"))
        question = Question(
            text=entry.text("question"),
            answer=answer,
            word=answer,
            kind="count",
            raw=entry.rest("question", "answer", "image"),
        )
        gathering.ask(entry.text("image"), question)
    name = f"tallyqa {found.file.stem}"
    samples = with_coco_objects(gathering.samples(), found.root)
    return finish(name, found.root, map(_counted, samples), gathering.skipped)


def _counted(sample: Sample) -> Sample:
    """The sample, its simple questions with the objects that they count."""
    questions = (replace(one, steps=_steps(sample, one)) for one in sample.questions)
    return replace(sample, questions=tuple(questions))


def _steps(sample: Sample, question: Question) -> tuple[Step, ...]:
    asked = _ASKED.match(question.text)
    if not asked or not question.raw.get("issimple"):
        return ()
    things = asked[1].lower()
    name = _english().singular_noun(things) or things
    ids = tuple(
        one.object_id
        for one in sample.annotations
        if one.class_name.lower() in (name, things) and not one.crowd
    )
    if not ids or str(len(ids)) != question.answer:
        return ()
    return Step("select", str(name), ids), Step("count", "", ids, (0,))


@lru_cache(maxsize=1)
def _english() -> inflect.engine:
    return inflect.engine()
