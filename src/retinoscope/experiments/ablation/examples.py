"""A few objects of the ablation to look at."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from retinoscope.report.examples import Answer, Example, image_of
from retinoscope.report.outlined import object_and_one, outlined
from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import UNIT, beside_clean
from retinoscope.results.protocol import CORRECTED, Protocol
from retinoscope.results.sheet import LensSheet

_SHOWN = (
    ("object+1", "", "without the object +1"),
    ("random", "object+1", "without as many at random"),
)


def examples(
    ablation: pl.DataFrame,
    sheets: Mapping[str, LensSheet],
    protocol: Protocol = CORRECTED,
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
        tokens = own["tokens"][0] if own.height else 0
        found.append(
            Example(
                name=row["class_name"],
                image_id=row["image_id"],
                picture=_picture(sheets[stem], row["class_name"], tokens) if stem else "",
                lens=f"{stem}.html" if stem else "",
                tokens=tokens,
                questions=_questions(rows),
            )
        )
    return found


def _picture(sheet: LensSheet, name: str, tokens: int) -> str:
    return outlined(sheet, object_and_one(sheet, name, tokens), 320)


def _questions(rows: pl.DataFrame) -> tuple[tuple[str, str, tuple[Answer, ...]], ...]:
    questions = []
    for (_, _, task, prompt), group in rows.sort(rank("task"), "prompt").group_by(
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
