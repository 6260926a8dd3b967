"""Which mask files belong to which image of a folder, by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

MASK_ENDING = ".mask.png"
MASK_FOLDER = "masks"
UNNAMED = "object"
"""The class of an object that nothing names."""

SEPARATORS = "._-"


def masks_beside(images: Iterable[Path]) -> dict[Path, list[tuple[Path, str]]]:
    """For each image that has them, its masks and their class names, sorted by path.

    A mask is `<image>[.<class>][.<number>].mask.png` beside the image, or the same without
    `.mask` in a folder `masks` beside it. The longest image name that fits wins, so that the mask
    `cat.1.png` belongs to an image `cat.1.jpg` where there is one, else to `cat.jpg`.
    """
    by_folder: defaultdict[Path, dict[str, Path]] = defaultdict(dict)
    for image in images:
        by_folder[image.parent][image.stem] = image
    found: defaultdict[Path, list[tuple[Path, str]]] = defaultdict(list)
    for folder, stems in sorted(by_folder.items()):
        beside = [(path, path.name[: -len(MASK_ENDING)]) for path in folder.glob(f"*{MASK_ENDING}")]
        apart = [
            (path, path.name.removesuffix(MASK_ENDING).removesuffix(".png"))
            for path in (folder / MASK_FOLDER).glob("*.png")
        ]
        for path, name in sorted(beside + apart):
            stem = _image_stem(name, stems)
            if stem is not None:
                found[stems[stem]].append((path, _class_name(name[len(stem) :])))
    return dict(found)


def _image_stem(name: str, stems: Iterable[str]) -> str | None:
    """The longest image name that the mask's name is, or starts with before a separator."""
    ends = [len(name)] + [i for i, letter in enumerate(name) if letter in SEPARATORS]
    known = set(stems)
    return next((name[:end] for end in sorted(ends, reverse=True) if name[:end] in known), None)


def _class_name(rest: str) -> str:
    """The class in what follows the image's name: ".traffic_light.2" is "traffic light"."""
    words = [word for word in re.split(f"[{re.escape(SEPARATORS)} ]+", rest) if word]
    if words and words[-1].isdigit():
        words.pop()
    return " ".join(words) or UNNAMED
