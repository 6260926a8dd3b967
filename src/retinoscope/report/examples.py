"""A few objects to look at: the picture, the questions, the answers before and after."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from retinoscope.report.templating import data_uri


@dataclass(frozen=True)
class Answer:
    """One answer under one condition; probability of the right token, 0 to 1, or None."""

    condition: str
    text: str
    right: bool
    probability: float | None


@dataclass(frozen=True)
class Example:
    """One object.

    Attributes:
        name: the class.
        image_id: the data set's image id.
        picture: a `data:` address, or "" where no lens sheet brought the picture.
        lens: file name of the lens page, or "".
        tokens: tokens replaced in the object's set.
        questions: (task, prompt, answers: clean first).
    """

    name: str
    image_id: int
    picture: str
    lens: str
    tokens: int
    questions: tuple[tuple[str, str, tuple[Answer, ...]], ...]


def image_of(stem: str) -> int:
    """The image id that a lens file's name starts with; -1 where it starts with none."""
    number = re.match(r"\d+", stem)
    return int(number[0]) if number else -1


def thumbnail(image: bytes, side: int) -> str:
    """An image as a small JPEG in a `data:` address, its longer side at most `side` pixels."""
    with Image.open(io.BytesIO(image)) as opened:
        small = opened.convert("RGB")
        small.thumbnail((side, side))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=85)
    return data_uri("image/jpeg", stream.getvalue())


def lens_stems(run: Path) -> list[str]:
    """Stems of the run's lens sheets, in the order of their names."""
    return sorted(path.stem for path in (run / "lens").glob("*.npz"))
