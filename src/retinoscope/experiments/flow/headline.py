"""The flow experiment's headline figures."""

from __future__ import annotations

import polars as pl

from retinoscope.report.tables.headline import headline_frame, headline_row


def flow_headline(scores: pl.DataFrame, pairs: pl.DataFrame, value: str) -> pl.DataFrame:
    """The area under each score's deletion curve, and rollout's beside attention's.

    Args:
        scores: `score_table`.
        pairs: `pair_table`.
        value: what stands in ablated tokens' place.
    """
    rows = [
        headline_row(
            *("flow", row["task"], "value", f"deletion AUC, {row['score']}"), row, "area", "area_n"
        )
        for row in scores.filter(direction="deletion", value=value).iter_rows(named=True)
    ]
    compared = pairs.filter(direction="deletion", value=value, first="rollout")
    for row in compared.filter(second="raw attention").iter_rows(named=True):
        name = "deletion AUC, rollout less raw attention"
        rows.append(
            headline_row("flow", row["task"], "value", name, row, "difference", "difference_n")
        )
    return headline_frame(rows)
