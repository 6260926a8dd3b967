"""The ablation as tables to read."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from retinoscope.report import paper
from retinoscope.report.grids import Cell, Grid, common_n, estimate_cell, share_cell, with_n
from retinoscope.report.wording import DASH, number, percent, probability

_VALUES = {
    "zero": "zero",
    "noise": "noise of the same norm",
    "resampled": "tokens of another image",
}


def ablation_grid(table: pl.DataFrame, value: str, tasks: tuple[str, ...]) -> Grid:
    """Decrease, test against random and the paper's figure, for each selection and task."""
    here = table.filter((pl.col("value") == value) & pl.col("task").is_in(tasks))
    shown = [task for task in tasks if task in here["task"]]
    common = {task: common_n(here.filter(pl.col("task") == task)) for task in shown}
    rows = []
    for (name, selection, matched, size), group in here.group_by(
        ["label", "selection", "matched", "size"], maintain_order=True
    ):
        which = (str(selection), str(matched), int(str(size)))
        by_task = {row["task"]: row for row in group.iter_rows(named=True)}
        reference = paper.tokens(*which) if value == "mean" else None
        tokens = Cell(number(group["tokens"][0]), f"paper {reference:.1f}" if reference else "")
        cells = [Cell(str(name)), tokens]
        for task in shown:
            row = by_task.get(task)
            cells += [
                share_cell(row, common[task]),
                Cell(probability(row["mcnemar_p"]) if row else DASH),
                Cell(percent(paper.decrease(value, *which, task))),
            ]
        rows.append(tuple(cells))
    heads = ("tokens replaced", "number", *("decrease", "p", "paper") * len(shown))
    groups = (("", 2), *((with_n(task, common[task]), 3) for task in shown))
    by = "the mean visual token" if value == "mean" else _VALUES.get(value, value)
    return Grid(f"Ablation: tokens replaced by {by}", heads, tuple(rows), groups)


def control_grid(table: pl.DataFrame) -> Grid:
    """The control: questions about an object that is not there, whose right answer is "no"."""
    grid = ablation_grid(table, "mean", ("poll-absent",))
    return replace(grid, title="Control: polls about an absent object (decrease: no became yes)")


def drop_grid(table: pl.DataFrame, value: str, tasks: tuple[str, ...]) -> Grid:
    """Mean drop of the right token's probability, for each selection and task."""
    here = table.filter((pl.col("value") == value) & pl.col("task").is_in(tasks))
    shown = [task for task in tasks if task in here["task"]]
    rows = []
    for (name,), group in here.group_by(["label"], maintain_order=True):
        by_task = {row["task"]: row for row in group.iter_rows(named=True)}
        cells = [estimate_cell(by_task.get(task), "drop", digits=3, n="drop_n") for task in shown]
        rows.append((Cell(str(name)), *cells))
    return Grid(
        "Drop of the right token's probability (0 to 1)", ("tokens replaced", *shown), tuple(rows)
    )
