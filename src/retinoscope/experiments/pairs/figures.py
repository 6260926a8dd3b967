"""The figures of the pairs: leakage by overlap, and exchanges by layer."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retinoscope.experiments.pairs.grids import NAMES
from retinoscope.experiments.pairs.swap_tables import SWAP_TASKS
from retinoscope.experiments.pairs.tables import OVERLAP, TASKS, main_value
from retinoscope.report.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    panels,
    percent_axis,
    rules,
    styled,
)

_SETS = (
    ("own+1", BLUE, "o"),
    ("own only", BLUE, "D"),
    ("shared", GREEN, "^"),
    ("other+1", ORANGE, "s"),
    ("background", GREY, "v"),
)
_SWAPS = (
    ("other", "stayed", BLUE, "o-", "exchanged: the answer stays (token)"),
    ("other", "became", ORANGE, "s-", "exchanged: it becomes the other's (slot)"),
    ("background", "stayed", GREEN, "^--", "moved into background: the answer stays"),
    ("deleted", "stayed", GREY, "v:", "deleted: the answer stays"),
)


def leakage_curves(table: pl.DataFrame) -> Figure | None:
    """Share of changed answers by overlap, a panel for each task.

    Args:
        table: the leakage table.

    Returns:
        None where nothing was measured.
    """
    here = table.filter(pl.col("by") == "overlap")
    tasks = [task for task in TASKS if task in here["task"]]
    if not tasks:
        return None
    with styled("pairs-leakage"):
        figure, axes = panels(min(2, len(tasks)), -(-len(tasks) // 2), (4.2, 2.7))
        for axis, task in zip(axes.flat, tasks, strict=False):
            rows = here.filter(pl.col("task") == task)
            value = main_value(rows)
            for shift, (one, colour, marker) in enumerate(_SETS):
                mine = rows.filter(pl.col("set") == one, pl.col("value") == value)
                _points(axis, mine, one, colour, marker, 0.12 * (shift - 2))
            most = rows["n"].max()
            axis.set_title(f"{task} (n up to {most})")
            axis.set_xticks(range(len(OVERLAP)), [name.removeprefix("IoU ") for name in OVERLAP])
            axis.set_xlim(-0.5, len(OVERLAP) - 0.5)
            axis.set_ylim(-0.03, 1.03)
            axis.set_xlabel("IoU of the two objects")
            percent_axis(axis.yaxis)
            rules(axis, "y")
        for axis in list(axes.flat)[len(tasks) :]:
            axis.set_axis_off()
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _points(
    axis: Axes, rows: pl.DataFrame, one: str, colour: str, marker: str, shift: float
) -> None:
    found = {row["group"]: row for row in rows.iter_rows(named=True)}
    known = [(place, found[name]) for place, name in enumerate(OVERLAP) if name in found]
    ys = [row["changed"] for _, row in known]
    errors: Any = [
        [row["changed"] - row["changed_low"] for _, row in known],
        [row["changed_high"] - row["changed"] for _, row in known],
    ]
    axis.errorbar(
        [place + shift for place, _ in known],
        ys,
        yerr=errors if known else None,
        fmt=marker,
        color=colour,
        markersize=5,
        linewidth=1,
        markerfacecolor="none" if one == "own only" else colour,
        label=NAMES[one],
    )


def swap_curves(table: pl.DataFrame) -> Figure | None:
    """What becomes of answers when blocks change places, by layer, a panel for each question.

    Args:
        table: the swap table.

    Returns:
        None where nothing was measured.
    """
    here = table.filter(~pl.col("same_answer"))
    tasks = [task for task in SWAP_TASKS if task in here["task"]]
    if not tasks:
        return None
    with styled("pairs-swaps"):
        figure, axes = panels(min(2, len(tasks)), -(-len(tasks) // 2), (4.2, 2.7))
        for axis, task in zip(axes.flat, tasks, strict=False):
            rows = here.filter(pl.col("task") == task)
            for exchanged, column, colour, line, label in _SWAPS:
                mine = rows.filter(pl.col("exchanged") == exchanged).sort("layer")
                axis.plot(mine["layer"], mine[column], line, color=colour, ms=4, label=label)
                ends = (mine[f"{column}_low"], mine[f"{column}_high"])
                axis.fill_between(mine["layer"], *ends, color=colour, alpha=0.12, linewidth=0)
            axis.set_title(f"{task} (n = {rows['n'].max()})")
            axis.set_ylim(-0.03, 1.03)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.set_xlabel("layer at whose input blocks are exchanged")
            percent_axis(axis.yaxis)
            rules(axis, "y")
        for axis in list(axes.flat)[len(tasks) :]:
            axis.set_axis_off()
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure
