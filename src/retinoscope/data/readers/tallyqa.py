"""TallyQA: how many are there? `[{question, answer: a whole number, image, issimple, ...}]`."""

from __future__ import annotations

from pathlib import Path

from retinoscope.data.readers.fields import as_entry
from retinoscope.data.readers.files import Gathering, find_file, finish
from retinoscope.data.reading import read_json
from retinoscope.data.samples import Dataset, Question
from retinoscope.errors import DataError

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
    return finish(name, found.root, gathering.samples(), gathering.skipped)
