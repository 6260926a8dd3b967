"""The headline figures of a run, one to a row, so that runs and ways of scoring can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from retinoscope.report.tables.ablation import VALUES
from retinoscope.report.tables.knockout import WINDOWS
from retinoscope.report.wording import readable
from retinoscope.results.records import TASKS

KEYS = ("experiment", "task", "measure", "row")
"""What names a headline figure."""

_CUTS = (("object+1", "last position"), ("all but last row", "last row"))
"""The knockouts that the paper quotes."""

_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(KEYS, pl.String),
    **dict.fromkeys(("value", "low", "high"), pl.Float64),
    "n": pl.Int64,
}


def ablation_headline(table: pl.DataFrame) -> pl.DataFrame:
    """Decrease and probability drop of every selection, for the first value (the mean).

    Args:
        table: `ablation_table`.

    Returns:
        Rows of KEYS with value, low, high and n. Shares and drops are 0 to 1 (drops from -1).
    """
    value = next((value for value in VALUES if value in table["value"]), "")
    here = table.filter(pl.col("task").is_in(TASKS), value=value)
    rows = []
    for row in here.iter_rows(named=True):
        for measure, n in (("decrease", "n"), ("drop", "drop_n")):
            rows.append(_row("ablation", row["task"], measure, row["label"], row, measure, n))
    return _frame(rows)


def lens_headline(summary: pl.DataFrame, by_layer: pl.DataFrame) -> pl.DataFrame:
    """Shares that name the object, and the layers at which most do.

    Args:
        summary: `lens_summary`.
        by_layer: `lens_by_layer`.

    Returns:
        As `ablation_headline`; layers count from 0.
    """
    rows = []
    last = by_layer.filter(region="object").sort("layer").tail(1)
    for row in summary.iter_rows(named=True):
        kind = row["measure"]
        peak = {"peak_layer": float(row["peak_layer"])}
        rows += [
            _row("lens", kind, "share", "at each object's best layer", row, "best_share"),
            _row("lens", kind, "share", "at the layer of the highest mean", row, "peak_share"),
            _row(
                "lens", kind, "share", "at the last layer", last.row(0, named=True), f"{kind}_macro"
            ),
            _row("lens", kind, "layer", "mean best layer", row, "best_layer", "named"),
            _row("lens", kind, "layer", "layer of the highest mean", row | peak, "peak_layer"),
        ]
    return _frame(rows)


def knockout_headline(table: pl.DataFrame) -> pl.DataFrame:
    """Decrease of the cuts that the paper quotes, in its windows.

    Args:
        table: `knockout_table`.

    Returns:
        As `ablation_headline`.
    """
    rows = []
    for group, target in _CUTS:
        here = table.filter(pl.col("window").is_in(WINDOWS), group=group, target=target)
        for row in here.iter_rows(named=True):
            label = f"{readable(group)} \u2192 {target}, {row['window']}"
            rows.append(_row("knockout", row["task"], "decrease", label, row, "decrease", "n"))
    return _frame(rows)


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


def _row(
    experiment: str,
    task: str,
    measure: str,
    name: str,
    row: Mapping[str, Any],
    column: str,
    n: str = "objects",
) -> tuple[Any, ...]:
    interval = (row.get(f"{column}{end}") for end in ("_low", "_high"))
    return (experiment, task, measure, name, row[column], *interval, row[n])


def _frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")
