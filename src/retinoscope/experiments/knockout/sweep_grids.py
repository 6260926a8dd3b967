"""The sweeps as tables to read: every layer, and the heads that matter most."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.knockout.sweep_tables import single_heads, whole_layers
from retinoscope.report.grids import Cell, Grid, share_cell
from retinoscope.report.wording import DASH, interval, number
from retinoscope.results.records import TASKS

HEADS = 12
"""Heads of a task that are listed; the CSV has them all."""


def layer_grid(table: pl.DataFrame) -> Grid:
    """Loss of probability and decrease at every single layer, for each task."""
    tasks = [task for task in TASKS if whole_layers(table, task).height]
    by_task = {
        task: {row["layer"]: row for row in whole_layers(table, task).iter_rows(named=True)}
        for task in tasks
    }
    layers = sorted({layer for rows in by_task.values() for layer in rows})
    rows = tuple(
        (
            Cell(str(layer)),
            *(cell for task in tasks for cell in _cells(by_task[task].get(layer))),
        )
        for layer in layers
    )
    heads = ("layer", *("points of probability lost", "decrease") * len(tasks))
    groups = (("", 1), *((_counted(table, task), 2) for task in tasks))
    return Grid("Knockout of one layer: object +1 → last position", heads, rows, groups)


def head_grid(table: pl.DataFrame, task: str) -> Grid:
    """The heads whose loss moves the right token's probability most."""
    strongest = (
        single_heads(table, task)
        .drop_nulls("drop")
        .sort(pl.col("drop").abs(), "layer", "head", descending=[True, False, False])
        .head(HEADS)
    )
    rows = tuple(
        (Cell(f"layer {row['layer']}, head {row['head']}"), *_cells(row))
        for row in strongest.iter_rows(named=True)
    )
    title = f"Knockout of one head, {_counted(table, task)}: the {len(rows)} that matter most"
    return Grid(title, ("where", "points of probability lost", "decrease"), rows)


def _cells(row: dict | None) -> tuple[Cell, Cell]:
    if row is None or row["drop"] is None:
        return Cell(DASH), share_cell(row, None)
    common = row["n"]
    span = interval(row["drop_low"], row["drop_high"])
    return Cell(number(100 * row["drop"]), span), share_cell(row, common)


def _counted(table: pl.DataFrame, task: str) -> str:
    counts = table.filter(pl.col("task") == task)["n"]
    low, high = counts.min(), counts.max()
    return f"{task} (n = {high})" if low == high else f"{task} (n = {low} to {high})"
