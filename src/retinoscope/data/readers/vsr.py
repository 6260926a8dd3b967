"""VSR: is a statement about two things' places true of the image? One JSON object a line.

`{image, image_link, caption, label: 0 or 1, relation, ...}`, newer files with `subj` and `obj`,
which are words of COCO: where its instances files lie beside, steps arrive at its objects.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from retinoscope.data.readers.beside import with_coco_objects
from retinoscope.data.readers.fields import Entry, read_lines
from retinoscope.data.readers.files import Gathering, find_file, finish
from retinoscope.data.samples import Dataset, Question, Sample, Step
from retinoscope.errors import DataError

EXPECTED = "a folder with train/dev/test.jsonl and the images in images/, or such a file"


def read_vsr(given: Path, split: str | None = None) -> Dataset:
    """Index VSR; a question is the statement, and whether it is true.

    Args:
        given: its folder, or one of its files.
        split: "train", "dev" or "test"; needed where several files lie in the folder.

    Raises:
        DataError: a file is missing or broken, or a field is missing or odd.
    """
    found = find_file(given, ("*.jsonl", "data/*.jsonl"), split, EXPECTED)
    gathering = Gathering(found.root, ("images", "train2017", "val2017", "."))
    for entry in read_lines(found.file):
        gathering.ask(entry.text("image"), _question(entry))
    name = f"vsr {found.file.stem}"
    samples = with_coco_objects(gathering.samples(), found.root)
    return finish(name, found.root, map(_arrived, samples), gathering.skipped)


def _question(entry: Entry) -> Question:
    label, relation = entry.whole("label"), entry.text("relation")
    if label not in (0, 1):
        raise DataError(f"{entry.path}: {entry.where}, field 'label' is {label}; expected 0 or 1.")
    answer = "True" if label else "False"
    subject, other = entry.text("subj", ""), entry.text("obj", "")
    steps = ()
    if subject and other:
        steps = (
            Step("select", subject),
            Step("select", other),
            Step("verify", relation, inputs=(0, 1)),
        )
    return Question(
        text=f"{entry.text('caption')} Is this true or false?",
        answer=answer,
        word=answer,
        kind="relation",
        steps=steps,
        choices=("True", "False"),
        raw=entry.rest("image", "label"),
    )


def _arrived(sample: Sample) -> Sample:
    """The sample, its questions' steps with all objects of the class that they select."""
    by_class: defaultdict[str, list[int]] = defaultdict(list)
    for one in sample.annotations:
        by_class[one.class_name.lower()].append(one.object_id)

    def arrived(step: Step) -> Step:
        ids = by_class.get(step.argument.lower(), []) if step.op == "select" else []
        return replace(step, object_ids=tuple(ids))

    questions = (replace(one, steps=tuple(map(arrived, one.steps))) for one in sample.questions)
    return replace(sample, questions=tuple(questions))
