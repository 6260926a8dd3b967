"""The ablation's headline figures."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.ablation.tables import VALUES
from retinoscope.report.tables.headline import headline_frame, headline_row
from retinoscope.results.records import TASKS


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
            rows.append(
                headline_row("ablation", row["task"], measure, row["label"], row, measure, n)
            )
    return headline_frame(rows)
