"""The headline figures of a run, one to a row, so that runs and ways of scoring can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Measure:
    """How a kind of headline figure is written.

    Attributes:
        words: what it is.
        scale: what it is multiplied by; 100 is percent.
        digits: decimals.
    """

    words: str
    scale: float = 100.0
    digits: int = 1


MEASURES = {
    "decrease": Measure("decrease"),
    "drop": Measure("drop of probability (0 to 1)", scale=1.0, digits=3),
    "carried": Measure("share of the difference that is carried"),
    "share": Measure("share of the object's patches that name it"),
    "layer": Measure("layer", scale=1.0),
    "value": Measure("value", scale=1.0, digits=3),
}
"""Kinds of headline figures by name."""

KEYS = ("experiment", "task", "measure", "row")
"""What names a headline figure."""


_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(KEYS, pl.String),
    **dict.fromkeys(("value", "low", "high"), pl.Float64),
    "n": pl.Int64,
}


def side_by_side(headlines: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Headline figures of several runs or ways of scoring, with their change.

    Args:
        headlines: name -> headline figures; the first is what the others are compared with.

    Returns:
        The rows of all, with `name` before them and `change` (value less the first one's; null
        where either is missing) after them.
    """
    columns = {"name": pl.String, **_SCHEMA, "change": pl.Float64}
    if not headlines:
        return pl.DataFrame(schema=columns)
    first = next(iter(headlines.values())).select(*KEYS, first=pl.col("value"))
    return pl.concat(
        headline.join(first, on=list(KEYS), how="left", maintain_order="left")
        .with_columns(name=pl.lit(name), change=pl.col("value") - pl.col("first"))
        .select(*columns)
        for name, headline in headlines.items()
    )


def headline_row(
    experiment: str,
    task: str,
    measure: str,
    name: str,
    row: Mapping[str, Any],
    column: str,
    n: str = "objects",
) -> tuple[Any, ...]:
    """One headline figure.

    Args:
        experiment: its name.
        task: or way of counting.
        measure: a name of `MEASURES`.
        name: what the row is called.
        row: a table's row.
        column: the figure's column; its interval is in <column>_low and <column>_high.
        n: the column with what the figure rests on.

    Raises:
        ValueError: the measure is none of `MEASURES`.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure={measure!r} of {experiment}; give one of {', '.join(MEASURES)}.")
    interval = (row.get(f"{column}{end}") for end in ("_low", "_high"))
    return (experiment, task, measure, name, row[column], *interval, row[n])


def headline_frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Rows of `headline_row` as a frame of KEYS with value, low, high and n."""
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")
