"""POPE: is there such a thing in the image? One JSON object a line, whatever the file's ending.

`{question_id, image, text, label: yes or no}`. The objects are COCO's where an instances file lies
beside the images: then samples carry their masks.
"""

from __future__ import annotations

import re
from pathlib import Path

from retinoscope.data.readers.beside import with_coco_objects
from retinoscope.data.readers.fields import Entry, read_lines
from retinoscope.data.readers.files import Gathering, find_file, finish
from retinoscope.data.samples import Dataset, Question, Step
from retinoscope.errors import DataError

EXPECTED = "a folder with coco_pope_*.json and the images in val2014/ or images/, or that file"
_ASKED = re.compile(r"^Is there (?:an? )?(.+?) in the im\w*\?", re.IGNORECASE)


def read_pope(given: Path, split: str | None = None) -> Dataset:
    """Index POPE.

    Args:
        given: its folder, or one of its files.
        split: "random", "popular", "adversarial"; needed where several files lie in the folder.

    Raises:
        DataError: a file is missing or broken, or a field is missing or odd.
    """
    patterns = ("*pope*.json*", "output/coco/*pope*.json*", "coco/*pope*.json*")
    found = find_file(given, patterns, split, EXPECTED)
    gathering = Gathering(found.root, ("val2014", "images/val2014", "images", "."))
    for entry in read_lines(found.file):
        gathering.ask(entry.text("image"), _question(entry))
    samples = with_coco_objects(gathering.samples(), found.root)
    name = f"pope {found.file.stem}"
    return finish(name, found.root, samples, gathering.skipped)


def _question(entry: Entry) -> Question:
    text, label = entry.text("text"), entry.text("label").lower()
    if label not in ("yes", "no"):
        raise DataError(
            f"{entry.path}: {entry.where}, field 'label' is {label!r}; expected yes/no."
        )
    asked = _ASKED.match(text)
    answer = label.capitalize()
    return Question(
        text=text,
        answer=answer,
        word=answer,
        kind="poll",
        steps=(Step("exist", asked[1]),) if asked else (),
        choices=("Yes", "No"),
        raw=entry.rest("image", "text", "label"),
    )
