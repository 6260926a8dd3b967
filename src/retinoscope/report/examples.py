"""A few objects to look at: the picture, the questions, the answers before and after."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from PIL import Image

from retinoscope.report.tables.pairing import UNIT, beside_clean
from retinoscope.report.templating import data_uri
from retinoscope.results.protocol import MENDED, Protocol
from retinoscope.results.records import TASKS
from retinoscope.results.sheet import LensSheet

_SHOWN = (
    ("object+1", "", "without the object +1"),
    ("random", "object+1", "without as many at random"),
)


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


def examples(
    ablation: pl.DataFrame,
    sheets: Mapping[str, LensSheet],
    protocol: Protocol = MENDED,
    most: int = 6,
) -> list[Example]:
    """The first objects by image id that the clean run got right in every task, unpicked.

    Args:
        ablation: the run's ablation records (the mean value's are shown).
        sheets: lens file stem -> sheet; a stem starts with the image id. Objects whose image
            has a sheet come first, for then there is a picture.
        protocol: how answers are scored.
        most: how many to show.
    """
    pictured = {image: stem for stem in reversed(sorted(sheets)) if (image := image_of(stem)) >= 0}
    paired = beside_clean(ablation, pl.col("selection") == "none", protocol).filter(
        (pl.col("value") == "mean") & (pl.col("task") != "poll-absent")
    )
    right = (
        paired.group_by("image_id", "object_id", "class_name")
        .agg(right=pl.col("right_clean").all())
        .filter("right")
        .with_columns(pictured=pl.col("image_id").is_in(list(pictured)))
        .sort("pictured", "image_id", "object_id", descending=[True, False, False])
        .head(most)
    )
    found = []
    for row in right.iter_rows(named=True):
        rows = paired.filter(image_id=row["image_id"], object_id=row["object_id"])
        stem = pictured.get(row["image_id"], "")
        own = rows.filter(pl.col("selection") == "object+1")
        found.append(
            Example(
                name=row["class_name"],
                image_id=row["image_id"],
                picture=thumbnail(sheets[stem].image, 320) if stem else "",
                lens=f"{stem}.html" if stem else "",
                tokens=own["tokens"][0] if own.height else 0,
                questions=_questions(rows),
            )
        )
    return found


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


def _questions(rows: pl.DataFrame) -> tuple[tuple[str, str, tuple[Answer, ...]], ...]:
    questions = []
    order = {task: place for place, task in enumerate(TASKS)}
    place = pl.col("task").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    for (_, _, task, prompt), group in rows.sort(place, "prompt").group_by(
        UNIT, maintain_order=True
    ):
        first = group.row(0, named=True)
        clean = Answer("as it is", first["answer_clean"], True, first["probability_clean"])
        answers = [clean]
        for selection, matched, name in _SHOWN:
            for row in group.filter(selection=selection, matched=matched).iter_rows(named=True):
                answers.append(Answer(name, row["answer"], row["right"], row["probability"]))
        questions.append((str(task), str(prompt), tuple(answers)))
    return tuple(questions)
