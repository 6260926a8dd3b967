"""Rows of one condition beside the rows of another, for the same question about the same object.

A *unit* is one question about one object (or one image's absent object). Decreases are shares of
the units that were right in the clean run (paper, section 3), or of those that the protocol counts
besides; comparisons are paired by unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from polars.exceptions import ComputeError

from retinoscope.errors import RunError
from retinoscope.report.tables.scoring import counted, scored
from retinoscope.results.protocol import CORRECTED, Protocol
from retinoscope.results.statistics import Estimate, Rate, mcnemar, mean, rate

UNIT = ("image_id", "object_id", "task", "prompt")


def beside_clean(
    rows: pl.DataFrame, clean: pl.Expr, protocol: Protocol = CORRECTED
) -> pl.DataFrame:
    """Every other row with its unit's clean run beside it.

    Args:
        rows: an ablation or knockout table.
        clean: which rows are clean runs.
        protocol: how answers are scored and which units count.

    Returns:
        The rows that are not clean, with columns `right_clean`, `probability_clean`,
        `answer_clean`, `wrong` (not right) and those of `scoring.counted` (a decrease is a share
        of the counted). Rows whose unit has no clean run are left out: without it there is no
        decrease.

    Raises:
        RunError: a unit has two clean runs.
    """
    rows = scored(rows, protocol)
    runs = rows.filter(clean).select(
        *UNIT,
        right_clean=pl.col("right"),
        probability_clean=pl.col("probability"),
        answer_clean=pl.col("answer"),
    )
    others = rows.filter(~clean).with_columns(wrong=~pl.col("right"))
    return counted(_join(others, runs, UNIT, "m:1"), protocol)


def tally(paired: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """What `summarise` needs of some images: counts, and the drops with the image of each.

    Args:
        paired: rows of `beside_clean`.
        by: the columns that name a condition.
    """
    known = paired.with_columns(drop=pl.col("probability_clean") - pl.col("probability"))
    dropped = pl.col("right_clean") & pl.col("measured")
    return known.group_by(by, maintain_order=True).agg(
        asked=pl.col("measured").sum(),
        right=(pl.col("right") & pl.col("measured")).sum(),
        n=pl.col("counted").sum(),
        wrong=(pl.col("counted") & pl.col("wrong")).sum(),
        drops=pl.col("drop").filter(dropped),
        images=pl.col("image_id").filter(dropped),
    )


def summarise(tallies: Sequence[pl.DataFrame], by: Sequence[str]) -> pl.DataFrame:
    """Decrease and probability drop of each condition.

    Args:
        tallies: of `tally`, of different images.
        by: the columns that name a condition.

    Returns:
        A row for each condition that has rows, with `by` and: asked (units measured; those whose
        set is empty only where the protocol takes them for clean runs), accuracy
        (share of them that is right) with low and high; n (of them counted: those right when
        clean, unless the protocol says otherwise), wrong, decrease (wrong / n, 0 to 1) with low
        and high; drop (mean of the right token's clean probability minus its probability, -1 to
        1, over the units right when clean) with low, high and its own n.
    """
    counts, lists = ("asked", "right", "n", "wrong"), ("drops", "images")
    grouped = pl.concat(tallies).group_by(by, maintain_order=True)
    rows = []
    for row in grouped.agg(pl.col(*counts).sum(), *lists).iter_rows(named=True, buffer_size=1):
        row |= {name: [one for some in row[name] for one in some] for name in lists}
        rows.append(
            {name: row[name] for name in by}
            | {"asked": row["asked"]}
            | interval_columns("accuracy", rate(row["right"], row["asked"]))
            | {"n": row["n"], "wrong": row["wrong"]}
            | interval_columns("decrease", rate(row["wrong"], row["n"]))
            | estimate_columns("drop", mean(row["drops"], row["images"]))
        )
    measures = dict.fromkeys(("asked", "n", "wrong", "drop_n"), pl.Int64) | {
        f"{name}{end}": pl.Float64
        for name in ("accuracy", "decrease", "drop")
        for end in ("", "_low", "_high")
    }
    order = [*by, *_MEASURES]
    kinds: dict[str, Any] = {name: tallies[0].schema[name] for name in by} | measures
    return pl.DataFrame(rows, schema={name: kinds[name] for name in order})


_MEASURES = (
    *("asked", "accuracy", "accuracy_low", "accuracy_high"),
    *("n", "wrong", "decrease", "decrease_low", "decrease_high"),
    *("drop_n", "drop", "drop_low", "drop_high"),
)


def compare(first: pl.DataFrame, second: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """McNemar's test of two conditions over the counted units that both measured.

    Args:
        first: rows of `beside_clean`, one for each unit and value of `by`.
        second: the same of the other condition.
        by: the columns that both must share beside the unit ("value", ...).

    Returns:
        A row for each value of `by` and task: pairs, only_first_wrong, only_second_wrong, p.

    Raises:
        RunError: a condition was recorded twice for one unit.
    """
    keys = list(dict.fromkeys((*by, *UNIT)))
    both = _join(
        first.filter("counted").select(*keys, first_wrong=pl.col("wrong")),
        second.filter("counted").select(*keys, second_wrong=pl.col("wrong")),
        keys,
        "1:1",
    )
    names = list(dict.fromkeys((*by, "task")))
    counted = both.group_by(names, maintain_order=True).agg(
        pairs=pl.len().cast(pl.Int64),
        only_first_wrong=(pl.col("first_wrong") & ~pl.col("second_wrong")).sum().cast(pl.Int64),
        only_second_wrong=(~pl.col("first_wrong") & pl.col("second_wrong")).sum().cast(pl.Int64),
    )
    tests = [
        mcnemar(first_wrong, second_wrong)
        for first_wrong, second_wrong in counted.select(
            "only_first_wrong", "only_second_wrong"
        ).iter_rows()
    ]
    return counted.with_columns(p=pl.Series(tests, dtype=pl.Float64))


def pooled(tests: Sequence[pl.DataFrame], by: Sequence[str]) -> pl.DataFrame:
    """Tests of `compare` on different images, as one.

    Args:
        tests: its rows, more columns than `by` and its own left out.
        by: the columns that name a test.
    """
    counts = ("pairs", "only_first_wrong", "only_second_wrong")
    found = pl.concat(tests).group_by(by, maintain_order=True).agg(pl.col(*counts).sum())
    p = [mcnemar(*pair) for pair in found.select(*counts[1:]).iter_rows()]
    return found.with_columns(p=pl.Series(p, dtype=pl.Float64))


def estimate_columns(name: str, estimate: Estimate) -> dict[str, float | int | None]:
    """An estimate as the columns <name>_n, <name>, <name>_low, <name>_high."""
    return {f"{name}_n": estimate.n} | interval_columns(name, estimate)


def interval_columns(name: str, found: Estimate | Rate) -> dict[str, float | int | None]:
    """A mean or a share as the columns <name>, <name>_low, <name>_high."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _join(
    left: pl.DataFrame, right: pl.DataFrame, on: Sequence[str], validate: Any
) -> pl.DataFrame:
    try:
        return left.join(right, on=list(on), how="inner", validate=validate, maintain_order="left")
    except ComputeError as error:
        raise RunError(
            "the records hold one condition twice for the same question about the same object; "
            "the run's parts overlap. Start a new run folder."
        ) from error
