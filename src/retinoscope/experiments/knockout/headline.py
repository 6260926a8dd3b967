"""The knockouts' headline figures."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.knockout.tables import WINDOWS
from retinoscope.experiments.knockout.verdict import QUOTED
from retinoscope.report.tables.headline import headline_frame, headline_row
from retinoscope.report.wording import readable


def knockout_headline(table: pl.DataFrame) -> pl.DataFrame:
    """Decrease of the knockouts that the paper quotes, in its windows.

    Args:
        table: `knockout_table`.

    Returns:
        As `ablation_headline`.
    """
    rows = []
    for group, target in QUOTED:
        here = table.filter(pl.col("window").is_in(WINDOWS), group=group, target=target)
        for row in here.iter_rows(named=True):
            label = f"{readable(group)} \u2192 {target}, {row['window']}"
            rows.append(
                headline_row("knockout", row["task"], "decrease", label, row, "decrease", "n")
            )
    return headline_frame(rows)
