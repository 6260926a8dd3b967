"""What'sUp: which caption says rightly where a thing is?

Its own pictures: `[{image_path, caption_options: [the right one, three wrong ones]}]`; COCO's and
Visual Genome's: `[[image id, right, wrong], ...]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retinoscope.data.readers.choices import shuffled
from retinoscope.data.readers.fields import Entry, as_entry
from retinoscope.data.readers.files import Gathering, find_file, finish
from retinoscope.data.reading import read_json
from retinoscope.data.samples import Dataset, Question
from retinoscope.errors import DataError

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
    for number, item in enumerate(content):
        where = f"item {number}"
        if isinstance(item, list):
            image, captions, raw = _triple(found.file, where, item, vg)
        else:
            image, captions, raw = _options(as_entry(found.file, where, item))
        gathering.ask(image, _question(image, captions, raw))
    name = f"whatsup {found.file.stem}"
    return finish(name, found.root, gathering.samples(), gathering.skipped)


def _options(entry: Entry) -> tuple[str, list[str], dict[str, Any]]:
    captions = entry.listed("caption_options")
    if len(captions) < 2 or not all(isinstance(text, str) for text in captions):
        raise DataError(
            f"{entry.path}: {entry.where}, field 'caption_options' holds {captions}; expected "
            "texts, the right one first."
        )
    image = entry.text("image_path")
    return image.removeprefix("data/"), captions, entry.rest("image_path", "caption_options")


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
