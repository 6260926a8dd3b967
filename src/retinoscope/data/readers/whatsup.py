"""What'sUp: which caption says rightly where a thing is?

Its own pictures: `[{image_path, caption_options: [the right one, three wrong ones]}]`; COCO's and
Visual Genome's: `[[image id, right, wrong], ...]`. It has no objects. Those of COCO's pictures are
read where COCO's instances files lie beside; its own pictures' may be added to their items, by hand
or by a detector: `objects: [{name, box: [x, y, width, height]}]`. Then one of the captions also
becomes a statement that is true or false, whose steps arrive at the objects that it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from retinoscope.data.boxes import boxed
from retinoscope.data.readers.beside import with_coco_objects
from retinoscope.data.readers.choices import shuffled
from retinoscope.data.readers.fields import Entry, as_entry
from retinoscope.data.readers.files import Gathering, find_file, finish
from retinoscope.data.reading import read_json
from retinoscope.data.samples import Annotation, Dataset, Question, Sample, Step
from retinoscope.errors import DataError, SampleError

EXPECTED = (
    "a folder with controlled_images_dataset.json, controlled_clevr_dataset.json or "
    "coco_qa_one_obj.json and the like, or such a file"
)
TEXT = "Which caption fits the image?"


def read_whatsup(given: Path, split: str | None = None) -> Dataset:
    """Index What'sUp; the captions are put in an order that does not tell the right one.

    Args:
        given: its folder, or one of its files.
        split: a part of the file's name, such as "controlled_images"; needed where several lie in
            the folder.

    Raises:
        DataError: a file is missing or broken, or a field is missing or odd.
    """
    found = find_file(given, ("*_dataset.json", "*_qa_*.json"), split, EXPECTED)
    content = read_json(found.file)
    if not isinstance(content, list):
        raise DataError(f"{found.file}: a {type(content).__name__}; expected a list of items.")
    # The file says data/controlled_images/x.jpeg whatever the folder is called.
    folders = (".", "..", "val2017", "images", "vg_images")
    gathering = Gathering(found.root, folders)
    vg = found.file.stem.startswith("vg")
    given_objects: dict[Path | None, list[Entry]] = {}
    for number, item in enumerate(content):
        where = f"item {number}"
        if isinstance(item, list):
            image, captions, raw = _triple(found.file, where, item, vg)
        else:
            entry = as_entry(found.file, where, item)
            image, captions, raw = _options(entry)
            if "objects" in entry.values:
                given_objects[gathering.path(image)] = entry.entries("objects")
        gathering.ask(image, _question(image, captions, raw))
    samples, ids = with_coco_objects(gathering.samples(), found.root), count(1)
    known = [
        _stated(_with_objects(one, given_objects.get(one.path, []), ids, gathering.skipped))
        for one in samples
    ]
    return finish(f"whatsup {found.file.stem}", found.root, known, gathering.skipped)


def _options(entry: Entry) -> tuple[str, list[str], dict[str, Any]]:
    captions = entry.listed("caption_options")
    if len(captions) < 2 or not all(isinstance(text, str) for text in captions):
        raise DataError(
            f"{entry.path}: {entry.where}, field 'caption_options' holds {captions}; expected "
            "texts, the right one first."
        )
    image = entry.text("image_path")
    return (
        image.removeprefix("data/"),
        captions,
        entry.rest("image_path", "caption_options", "objects"),
    )


def _triple(
    path: Path, where: str, item: list[Any], vg: bool
) -> tuple[str, list[str], dict[str, Any]]:
    if len(item) < 3 or not all(isinstance(text, str) for text in item[1:3]):
        raise DataError(f"{path}: {where} is {item}; expected [image id, right, wrong].")
    try:
        number = int(item[0])
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {where} has image id {item[0]!r}; expected a number.") from error
    image = f"{number}.jpg" if vg else f"{number:012d}.jpg"
    return image, item[1:3], {"rest": item[3:]} if item[3:] else {}


def _question(image: str, captions: list[str], raw: dict[str, Any]) -> Question:
    right = captions[0]
    return Question(
        text=TEXT,
        answer=right,
        word=right,
        kind="caption",
        choices=shuffled(captions, image),
        raw=raw,
    )


def _with_objects(
    sample: Sample, given: Sequence[Entry], ids: Iterator[int], skipped: list[str]
) -> Sample:
    """The sample with the objects of its item, if it names any; what can't be is told."""
    found: list[Annotation] = []
    for entry in given:
        box = entry.listed("box")
        if len(box) != 4 or not all(type(side) in (int, float) for side in box):
            raise DataError(
                f"{entry.path}: {entry.where}, field 'box' is {box}; expected four numbers in "
                "pixels, [x, y, width, height]."
            )
        size, called = (sample.width, sample.height), f"{entry.path}, {sample.path.name}"
        x, y, width, height = map(float, box)
        try:
            found.append(boxed(called, entry.text("name"), (x, y, width, height), next(ids), size))
        except SampleError as error:
            skipped.append(str(error))
    return replace(sample, annotations=tuple(found)) if given else sample


def _stated(sample: Sample) -> Sample:
    """The sample, each question followed by its first choice as a statement about objects."""
    asked = list(sample.questions)
    for question in sample.questions:
        caption = question.choices[0]
        steps = _steps(sample, caption)
        if steps:
            answer = str(caption == question.answer)
            asked.append(
                Question(
                    text=f"{caption.rstrip('.')}. Is this true or false?",
                    answer=answer,
                    word=answer,
                    kind="relation",
                    steps=steps,
                    choices=("True", "False"),
                    raw=question.raw,
                )
            )
    return replace(sample, questions=tuple(asked))


def _steps(sample: Sample, caption: str) -> tuple[Step, ...]:
    """Select the things that a caption names, in its order, and verify it; () if it names none."""
    places: dict[str, int] = {}
    for name in {one.class_name for one in sample.annotations}:
        met = re.search(rf"\b{re.escape(name)}\b", caption, re.IGNORECASE)
        if met:
            places[name] = met.start()
    named = sorted(places, key=lambda name: places[name])
    selected = [
        Step("select", name, tuple(a.object_id for a in sample.annotations if a.class_name == name))
        for name in named
    ]
    return (*selected, Step("verify", caption, inputs=tuple(range(len(named))))) if named else ()
