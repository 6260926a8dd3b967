"""The knockouts as tables to read."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.knockout.tables import WINDOWS
from retinoscope.report import paper
from retinoscope.report.grids import Cell, Grid, Row, common_n, own_n, with_n
from retinoscope.report.wording import DASH, interval, number, percent, readable


def knockout_grid(table: pl.DataFrame, task: str) -> Grid:
    """Decrease and accuracy for each knockout and window; a dash where it was not measured."""
    here = table.filter(pl.col("task") == task)
    others = here.filter(~pl.col("window").is_in(WINDOWS))["window"].unique(maintain_order=True)
    windows = [*WINDOWS, *others]
    cells = {(r["target"], r["group"], r["window"]): r for r in here.iter_rows(named=True)}
    common = common_n(here)
    rows = []
    # The table comes sorted; the order of the knockouts is that of their first rows.
    for target, group in here.select("target", "group").unique(maintain_order=True).rows():
        found = here.filter((pl.col("target") == target) & (pl.col("group") == group))
        keys = f"{number(found['keys'].mean())} keys"  # pyright: ignore[reportArgumentType]
        row = [Cell(f"{readable(group)} \u2192 {target}", keys)]
        for window in windows:
            cell = cells.get((target, group, window))
            row.append(_cut_cell(cell, paper.kept(task, group, target, window), common))
        rows.append(tuple(row))
    heads = tuple(_window_head(here, window) for window in windows)
    return Grid(
        f"Knockout, {with_n(task, common)}: decrease, and accuracy relative to clean",
        ("attention knocked out", *heads),
        tuple(rows),
    )


def _cut_cell(row: Row | None, known: float | None, common: int | None) -> Cell:
    reference = () if known is None else (f"paper {known:.2f}",)
    if row is None or not row["n"]:
        return Cell(DASH, "\n".join(reference))
    span = interval(row["kept_low"], row["kept_high"], scale=1.0, digits=2)
    lines = (f"{number(row['kept'], 2)} ({span})", *own_n(row, common), *reference)
    return Cell(percent(row["decrease"]), "\n".join(lines))


def _window_head(here: pl.DataFrame, window: str) -> str:
    rows = here.filter(pl.col("window") == window)
    if not rows.height:
        return window
    return f"{window} ({rows['first_layer'].min()} to {rows['last_layer'].max()})"
