"""The lens' headline figures."""

from __future__ import annotations

import polars as pl

from retinoscope.report.tables.headline import headline_frame, headline_row


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
            headline_row("lens", kind, "share", "at each object's best layer", row, "best_share"),
            headline_row(
                "lens", kind, "share", "at the layer of the highest mean", row, "peak_share"
            ),
            headline_row(
                "lens", kind, "share", "at the last layer", last.row(0, named=True), f"{kind}_macro"
            ),
            headline_row("lens", kind, "layer", "mean best layer", row, "best_layer", "named"),
            headline_row(
                "lens", kind, "layer", "layer of the highest mean", row | peak, "peak_layer"
            ),
        ]
    return headline_frame(rows)
