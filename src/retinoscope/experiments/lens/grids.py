"""The logit lens as tables to read."""

from __future__ import annotations

import polars as pl

from retinoscope.report import paper
from retinoscope.report.grids import Cell, Grid, estimate_cell
from retinoscope.report.wording import DASH, count, number, percent


def lens_summary_grid(summary: pl.DataFrame) -> Grid:
    """Best layer and share, ours and the paper's."""
    rows = []
    for row in summary.iter_rows(named=True):
        rows.append(
            (
                Cell(f"this run, {row['measure']}", f"{count(row['objects'])} objects"),
                estimate_cell(row, "best_share", scale=100.0, unit=" %"),
                estimate_cell(row, "best_layer"),
                Cell(count(row["layers"])),
                estimate_cell(row, "peak_share", scale=100.0, unit=" %"),
                Cell(str(row["peak_layer"])),
                estimate_cell(row, "peak_background", scale=100.0, unit=" %"),
                Cell(percent(row["named"] / row["objects"] if row["objects"] else None)),
            )
        )
    for known in paper.LENS if rows else ():
        figures = (percent(known.share), number(known.best_layer), count(known.layers))
        unknown = (DASH,) * 4
        rows.append((Cell(f"paper, {known.model}"), *map(Cell, (*figures, *unknown))))
    heads = (
        *("", "share at each object's best layer", "mean best layer", "of layers"),
        *("highest mean share", "at layer", "background there", "objects named by some layer"),
    )
    return Grid("Logit lens", heads, tuple(rows))


def lens_layer_grid(by_layer: pl.DataFrame) -> Grid:
    """Every layer's shares on the object and beside it, and the curves."""
    rows = []
    background = {
        row["layer"]: row
        for row in by_layer.filter(pl.col("region") == "background").iter_rows(named=True)
    }
    for row in by_layer.filter(pl.col("region") == "object").iter_rows(named=True):
        behind = background.get(row["layer"])
        rows.append(
            (
                Cell(str(row["layer"])),
                *(
                    estimate_cell(row, f"{measure}_{kind}", scale=100.0, unit=" %")
                    for measure in ("strict", "lenient")
                    for kind in ("macro", "micro")
                ),
                estimate_cell(behind, "strict_macro", scale=100.0, unit=" %"),
                estimate_cell(row, "rank"),
                estimate_cell(row, "log_probability", digits=2),
                estimate_cell(row, "entropy", digits=2),
            )
        )
    heads = (
        *("layer", "strict, mean of objects", "strict, all patches"),
        *("lenient, mean of objects", "lenient, all patches", "background, strict"),
        *("rank", "log-probability", "entropy"),
    )
    return Grid("Logit lens by layer", heads, tuple(rows))
