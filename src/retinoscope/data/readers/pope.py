"""POPE: is there such a thing in the image? One JSON object a line, whatever the file's ending.

`{question_id, image, text, label: yes or no}`. The objects are COCO's where an instances file lies
beside the images: then samples carry their masks.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from retinoscope.data.coco import read_coco
from retinoscope.data.readers.fields import Entry, read_lines
from retinoscope.data.readers.files import Found, Gathering, find_file, finish
from retinoscope.data.samples import Dataset, Question, Sample, Step
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
    samples = _with_objects(gathering.samples(), found)
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


def _with_objects(samples: list[Sample], found: Found) -> list[Sample]:
    """The samples with COCO's objects, where the folder has an instances file."""
    instances = sorted(found.root.glob("annotations/instances*val2014*.json")) or sorted(
        found.root.glob("annotations/instances*.json")
    )
    if not instances:
        return samples
    if len(instances) > 1:
        names = ", ".join(path.name for path in instances)
        raise DataError(f"{found.root}: several instances files: {names}. Keep one of them.")
    known = {sample.path.name: sample for sample in read_coco(instances[0]).samples}
    return [
        replace(sample, annotations=known[sample.path.name].annotations)
        if sample.path.name in known
        else sample
        for sample in samples
    ]
