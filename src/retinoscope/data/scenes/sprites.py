"""The packaged sprites: small pictures of every class from open emoji sets.

Each set is one lossless RGBA atlas and an index; `recipes/embedded/sprites.py` draws them, and
NOTICE names their authors and licences.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retinoscope.errors import DataError

SpriteSplit = Literal["train", "heldout"]

SETS: dict[SpriteSplit, tuple[str, ...]] = {
    "train": ("noto", "noto-v1", "fxemoji", "fluent-emoji-flat", "fluent-emoji", "emojione"),
    "heldout": ("twemoji",),
}
"""Sprite sets of each split; the embedded model never saw the held-out one."""


@cache
def load_set(name: str) -> dict[str, tuple[NDArray[np.uint8], ...]]:
    """Return the sprites of one set: class name -> RGBA arrays, each (height, width, 4).

    Raises:
        DataError: no such set is packaged.
    """
    folder = files("retinoscope.data.scenes") / "sprites"
    index_file = folder / f"{name}.json"
    if not index_file.is_file():
        known = ", ".join(s for sets in SETS.values() for s in sets)
        raise DataError(f"sprite set {name!r} is not packaged; the sets are {known}")
    index = json.loads(index_file.read_text("utf-8"))
    with (folder / f"{name}.webp").open("rb") as stream:
        atlas = np.asarray(Image.open(stream).convert("RGBA"))
    return {
        label: tuple(atlas[y : y + h, x : x + w] for x, y, w, h in boxes)
        for label, boxes in index.items()
    }


@cache
def renditions(label: str, split: SpriteSplit) -> tuple[tuple[NDArray[np.uint8], ...], ...]:
    """Return the renditions of a class, grouped by sprite set.

    Raises:
        DataError: the split is unknown, or none of its sets holds the class.
    """
    if split not in SETS:
        raise DataError(f"sprites={split!r} is unknown; use 'train' or 'heldout'")
    found = tuple(load_set(s)[label] for s in SETS[split] if label in load_set(s))
    if not found:
        raise DataError(f"no {split} sprite of class {label!r} is packaged")
    return found
