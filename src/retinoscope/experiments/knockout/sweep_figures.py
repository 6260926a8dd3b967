"""The sweep figures: single layers as curves, single heads as a map with its numbers."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from retinoscope.experiments.knockout.sweep_tables import single_heads, whole_layers
from retinoscope.report.figures.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    panels,
    percent_axis,
    rules,
    scale_bar,
    shade,
    styled,
)
from retinoscope.report.wording import number
from retinoscope.results.records import TASKS

NUMBERED = 400
"""Cells of a map up to which every one carries its number; above, the strongest do."""

STRONGEST = 20
"""Cells of a larger map that carry their numbers."""

_LOOKS = {"poll": (BLUE, "o"), "ask": (ORANGE, "s")}


def layer_curves(table: pl.DataFrame) -> Figure | None:
    """Two panels by layer: mean probability drop, and decrease; a line for each task.

    Args:
        table: the sweep table.

    Returns:
        None where no single layer was measured.
    """
    tasks = [task for task in TASKS if whole_layers(table, task).height]
    if not tasks:
        return None
    with styled("knockout-layers"):
        figure, axes = panels(2, 1, (4.6, 2.6))
        titles = {"drop": "mean loss of probability", "decrease": "right answers that become wrong"}
        for axis, (measure, title) in zip(axes[0], titles.items(), strict=True):
            for task in tasks:
                rows = whole_layers(table, task).drop_nulls(measure)
                _curve(axis, rows, measure, task)
            axis.axhline(0, color=GREY, linewidth=0.6)
            axis.set_title(title)
            axis.set_xlabel("decoder layer (from 0)")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            percent_axis(axis.yaxis)
            rules(axis, "y")
        axes[0][0].yaxis.set_major_formatter(lambda value, _: number(100 * value))
        axes[0][0].set_ylabel("points")
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _curve(axis: Axes, rows: pl.DataFrame, measure: str, task: str) -> None:
    colour, marker = _LOOKS.get(task, (GREY, "^"))
    layers = rows["layer"].to_list()
    axis.plot(
        layers,
        rows[measure].to_list(),
        f"{marker}-",
        color=colour,
        linewidth=1.3,
        markersize=3.5,
        label=f"{task} (n = {rows['n'].max()})",
    )
    known = rows.drop_nulls([f"{measure}_low", f"{measure}_high"])
    axis.fill_between(
        known["layer"].to_list(),
        known[f"{measure}_low"].to_list(),
        known[f"{measure}_high"].to_list(),
        color=colour,
        alpha=0.18,
        linewidth=0,
    )


def head_map(table: pl.DataFrame) -> Figure | None:
    """Mean probability drop as a map of layers by heads, a panel for each task.

    Args:
        table: the sweep table.

    Returns:
        Each cell with its number in points; of maps with more than NUMBERED cells only the
        STRONGEST. A cell that was not measured stays empty. None where no head was measured.
    """
    found = {task: single_heads(table, task).drop_nulls("drop") for task in TASKS}
    shown = {task: rows for task, rows in found.items() if rows.height}
    if not shown:
        return None
    every = pl.concat(list(shown.values()))
    heads, layers = (int(str(every[name].max())) + 1 for name in ("head", "layer"))
    most = float(str(every["drop"].abs().max())) or 1.0
    with styled("knockout-heads"):
        wide = min(4.6, max(3.6, 0.9 + 0.46 * heads))
        high = min(5.2, 0.9 + 0.34 * layers)
        figure, axes = panels(len(shown), 1, (wide, high))
        for axis, (task, rows) in zip(axes[0], shown.items(), strict=True):
            _map(axis, rows, most, numbered=heads * layers <= NUMBERED)
            axis.set_xlim(0, heads)
            axis.set_ylim(0, layers)
            axis.set_title(f"{task} (n = {rows['n'].max()})")
            axis.set_xlabel("head")
        axes[0][0].set_ylabel("decoder layer (from 0)")
        scale_bar(figure, axes[0], 100 * most, "points of probability lost")
    return figure


def _map(axis: Axes, rows: pl.DataFrame, most: float, *, numbered: bool) -> None:
    strongest = rows.sort(pl.col("drop").abs(), descending=True).head(STRONGEST)
    kept = {(r["layer"], r["head"]) for r in strongest.iter_rows(named=True)}
    for row in rows.iter_rows(named=True):
        place = (row["head"], row["layer"])
        colour = shade(row["drop"] / most)
        corner = (place[0] + 0.03, place[1] + 0.03)
        axis.add_patch(Rectangle(corner, 0.94, 0.94, facecolor=colour, lw=0))
        if numbered or (row["layer"], row["head"]) in kept:
            _write(axis, row, place, small=not numbered)
    for side, name in ((axis.xaxis, "head"), (axis.yaxis, "layer")):
        last = int(str(rows[name].max()))
        step = 1 if last < 16 else 4
        marks = list(range(0, last + 1, step))
        side.set_ticks([mark + 0.5 for mark in marks], [str(mark) for mark in marks])
    axis.tick_params(length=0, colors=INK)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _write(axis: Axes, row: dict[str, Any], place: tuple[int, int], *, small: bool) -> None:
    axis.text(
        place[0] + 0.5,
        place[1] + 0.5,
        number(100 * row["drop"]),
        ha="center",
        va="center",
        fontsize=4 if small else 7.5,
        fontweight="bold" if row["wrong"] else "normal",
    )
