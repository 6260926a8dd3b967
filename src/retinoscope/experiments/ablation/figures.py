"""Figures of the ablation experiment: matched sets side by side, and curves by number of tokens."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retinoscope.report.figures.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    panels,
    percent_axis,
    rules,
    styled,
)

_TASKS = ("describe", "poll", "ask")
_SETS = ("object", "object+1", "object+2")
_SERIES = (
    ("the object's tokens", BLUE, "object", ""),
    ("as many by gradients", GREEN, "gradients", "//"),
    ("as many at random", ORANGE, "random", ".."),
)


def matched_bars(table: pl.DataFrame) -> Figure | None:
    """Decrease when the object's tokens are replaced, beside as many others; mean value.

    Args:
        table: the ablation table.

    Returns:
        One panel for each task, bars with 95 % intervals; None where nothing was measured.
    """
    rows = table.filter(pl.col("value") == "mean")
    tasks = [task for task in _TASKS if task in rows["task"]]
    if not tasks:
        return None
    with styled("ablation-matched"):
        figure, axes = panels(len(tasks))
        for place, (axis, task) in enumerate(zip(axes[0], tasks, strict=True)):
            _bars(axis, rows.filter(pl.col("task") == task), labelled=place == 0)
            n = rows.filter(pl.col("task") == task)["n"].max()
            axis.set_title(f"{task} (n = {n})")
        axes[0][0].set_ylabel("right answers that became wrong")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def size_curves(table: pl.DataFrame) -> Figure | None:
    """Decrease by number of tokens replaced: at random, by gradients, and the object's own.

    Args:
        table: the ablation table.

    Returns:
        One panel for each task with 95 % intervals; None where no sizes were measured.
    """
    rows = table.filter((pl.col("value") == "mean") & pl.col("decrease").is_not_null())
    tasks = [t for t in _TASKS if rows.filter((pl.col("task") == t) & (pl.col("size") > 0)).height]
    if not tasks:
        return None
    with styled("ablation-sizes"):
        figure, axes = panels(len(tasks))
        for place, (axis, task) in enumerate(zip(axes[0], tasks, strict=True)):
            here = rows.filter(pl.col("task") == task)
            for name, colour, selection, marker in (
                ("gradients, top n", GREEN, "gradients", "s"),
                ("random n", ORANGE, "random", "o"),
            ):
                curve = here.filter((pl.col("selection") == selection) & (pl.col("size") > 0))
                _points(axis, curve.sort("tokens"), f"{marker}-", colour, name if not place else "")
            own = here.filter(pl.col("selection").is_in(_SETS))
            _points(axis, own, "D", BLUE, "" if place else "object, +1, +2")
            _name_points(axis, own)
            axis.set_title(f"{task} (n = {here['n'].max()})")
            axis.set_xlabel("tokens replaced")
            _share_axis(axis)
        axes[0][0].set_ylabel("right answers that became wrong")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _bars(axis: Axes, rows: pl.DataFrame, *, labelled: bool) -> None:
    for place, (name, colour, selection, hatch) in enumerate(_SERIES):
        found = [_set_row(rows, selection, which) for which in _SETS]
        at = [x + 0.27 * (place - 1) for x, row in enumerate(found) if row]
        known = [row for row in found if row]
        heights = [row["decrease"] for row in known]
        axis.bar(
            *(at, heights, 0.25),
            color=colour,
            hatch=hatch,
            edgecolor="none" if not hatch else "#ffffff55",
            label=name if labelled else None,
            yerr=_errors(known) if known else None,
            error_kw={"ecolor": INK, "elinewidth": 0.9, "capsize": 2},
        )
    axis.set_xticks(range(len(_SETS)), ["object", "+1", "+2"])
    axis.set_xlabel("tokens on the object, and around it")
    _share_axis(axis)


def _set_row(rows: pl.DataFrame, selection: str, which: str) -> dict[str, Any] | None:
    if selection == "object":
        found = rows.filter(pl.col("selection") == which)
    else:
        found = rows.filter((pl.col("selection") == selection) & (pl.col("matched") == which))
    found = found.filter(pl.col("decrease").is_not_null())
    return found.row(0, named=True) if found.height else None


def _points(axis: Axes, rows: pl.DataFrame, line: str, colour: str, name: str) -> None:
    if rows.height:
        axis.errorbar(
            *(rows["tokens"].to_list(), rows["decrease"].to_list()),
            yerr=_errors(rows.to_dicts()),
            fmt=line,
            color=colour,
            markersize=4,
            linewidth=1.2,
            elinewidth=0.9,
            capsize=2,
            label=name or None,
        )


def _name_points(axis: Axes, own: pl.DataFrame) -> None:
    for row in own.iter_rows(named=True):
        axis.annotate(
            row["selection"].removeprefix("object") or "object",
            (row["tokens"], row["decrease_high"]),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
        )


def _errors(rows: list[dict[str, Any]]) -> list[list[float]]:
    """Distances from the value to the interval's ends, as matplotlib wants them."""
    below = [max(0.0, row["decrease"] - row["decrease_low"]) for row in rows]
    return [below, [max(0.0, row["decrease_high"] - row["decrease"]) for row in rows]]


def _share_axis(axis: Axes) -> None:
    axis.set_ylim(0, 1.06)
    percent_axis(axis.yaxis)
    rules(axis, "y")
