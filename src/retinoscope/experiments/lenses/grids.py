"""The lenses as tables to read."""

from __future__ import annotations

import polars as pl

from retinoscope.report.grids import Cell, Grid, estimate_cell
from retinoscope.report.wording import percent

NAMES = {
    "logit": "logit lens",
    "tuned-visual": "tuned lens, visual positions",
    "tuned-text": "tuned lens, text positions",
    "latent": "LatentLens",
    "jacobian": "Jacobian lens",
    "probe": "linear probe",
    "probe-shuffled": "linear probe, shuffled labels",
}


def summary_grid(summary: pl.DataFrame) -> Grid:
    """Each lens at the embedding output and at its best layer, with chance beside it."""
    rows = tuple(
        (
            Cell(NAMES[row["lens"]], f"{row['objects']} objects"),
            estimate_cell(row, "first", scale=100, unit=" %"),
            estimate_cell(row, "share", scale=100, unit=" %"),
            Cell(str(row["best_place"])),
            estimate_cell(row, "other", scale=100, unit=" %"),
            estimate_cell(row, "background", scale=100, unit=" %"),
            estimate_cell(row, "open", scale=100, unit=" %"),
        )
        for row in summary.iter_rows(named=True)
    )
    heads = (
        *("", "embedding output", "best layer", "which", "another image's class"),
        *("own class beside the object", "of the whole vocabulary"),
    )
    groups = (("", 1), ("object patches that tell their class", 3), ("at the best layer", 3))
    return Grid("Lenses: what each reads", heads, rows, groups)


def cause_grid(causes: pl.DataFrame, task: str) -> Grid:
    """What a push against each lens' direction takes from one task's answer."""
    rows = tuple(
        (
            Cell(f"layer {row['place']}, {NAMES[row['lens']]}", f"n = {row['n']}"),
            estimate_cell(row, "drop", digits=2),
            estimate_cell(row, "random", digits=2),
            estimate_cell(row, "extra", digits=2),
            Cell(percent(row["wrong"])),
            Cell(percent(row["random_wrong"])),
        )
        for row in causes.filter(task=task).iter_rows(named=True)
    )
    heads = (
        *("pushed against", "loss", "at random", "more than random"),
        *("wrong answers", "at random"),
    )
    return Grid(f"Lenses: does their direction count? {task}", heads, rows)
