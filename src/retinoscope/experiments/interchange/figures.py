"""Figures of the interchange: a map of layers by groups, and guesses beside what was measured."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from retinoscope.experiments.interchange.tables import DIRECTIONS, GROUPS, METHODS
from retinoscope.experiments.interchange.verdict import NAMES
from retinoscope.report.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    panels,
    rules,
    scale_bar,
    shade,
    styled,
)
from retinoscope.report.wording import number
from retinoscope.results.records import TASKS

_LOOKS = {
    "object": (ORANGE, "o"),
    "question": (BLUE, "s"),
    "last": (GREEN, "D"),
}
_OTHERS = (GREY, "x")


def layer_maps(table: pl.DataFrame) -> Figure | None:
    """The share that each group carries at each layer, a map for each task and direction.

    Args:
        table: `cell_table`.

    Returns:
        Shares from -1 to 1 (beyond, the colour stays), with the number in each cell in hundredths;
        None where nothing was measured.
    """
    tasks = [task for task in TASKS if task in table["task"]]
    if not tasks:
        return None
    groups = [group for group in GROUPS if group in table["group"]]
    layers = int(str(table["layer"].max())) + 1
    with styled("interchange-layers"):
        size = (min(5.6, max(3.4, 1.2 + 0.42 * layers)), 0.8 + 0.34 * len(groups))
        figure, axes = panels(len(DIRECTIONS), len(tasks), size)
        for row, task in zip(axes, tasks, strict=True):
            for axis, direction in zip(row, DIRECTIONS, strict=True):
                here = table.filter(task=task, direction=direction)
                _map(axis, here, groups, layers)
                axis.set_title(f"{task}, {direction} (n = {here['n'].max()})")
        for axis in axes[-1]:
            axis.set_xlabel("layer (0 is the embedding output)")
        scale_bar(figure, axes.flat, 100, "% of the difference carried")
    return figure


def _map(axis: Axes, table: pl.DataFrame, groups: list[str], layers: int) -> None:
    numbered = layers <= 16
    for row in table.iter_rows(named=True):
        x, y = row["layer"], groups.index(row["group"])
        colour = shade(row["carried"])
        axis.add_patch(Rectangle((x + 0.03, y + 0.04), *(0.94, 0.92), facecolor=colour, lw=0))
        if numbered:
            text = number(100 * row["carried"], 0)
            axis.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7.5)
    step = 1 if numbered else 4
    marks = list(range(0, layers, step))
    axis.set_xticks([mark + 0.5 for mark in marks], [str(mark) for mark in marks])
    axis.set_yticks([y + 0.5 for y in range(len(groups))], groups)
    axis.set_xlim(0, layers)
    axis.set_ylim(len(groups), 0)
    axis.tick_params(length=0, colors=INK)
    for spine in axis.spines.values():
        spine.set_visible(False)


def guess_panels(table: pl.DataFrame, errors: pl.DataFrame) -> Figure | None:
    """Each approximation against the exact share: a point for each layer, group and direction.

    Args:
        table: `cell_table`.
        errors: `agreement_table`, for the numbers in the titles.

    Returns:
        None where no approximation was measured.
    """
    shown = [name for name in METHODS if table[name].drop_nulls().len()]
    if not shown:
        return None
    with styled("interchange-guesses"):
        figure, axes = panels(len(shown), 1, (3.0, 3.1))
        for axis, name in zip(axes[0], shown, strict=True):
            known = table.drop_nulls(name)
            for group in GROUPS:
                rows = known.filter(pl.col("group") == group)
                colour, marker = _LOOKS.get(group, _OTHERS)
                label = group if group in _LOOKS else "other visual tokens"
                axis.plot(
                    rows["carried"].to_list(),
                    rows[name].to_list(),
                    marker,
                    color=colour,
                    markersize=3.5,
                    alpha=0.8,
                    label=label if group in (*_LOOKS, "far") else "_",
                )
            ends = [-0.1, 1.1]
            axis.plot(ends, ends, color=GREY, linewidth=0.8)
            axis.set_title(f"{NAMES[name]}{_ranks(errors, name)}")
            axis.set_xlabel("exact share carried")
            rules(axis, "both")
        axes[0][0].set_ylabel("share guessed")
        handles = axes[0][0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=4)
    return figure


def _ranks(errors: pl.DataFrame, name: str) -> str:
    rows: list[Any] = errors.filter(part="residual stream", approximation=name)[
        "rank_correlation"
    ].to_list()
    known = [number(value, 2) for value in rows if value is not None]
    return f"\nrank correlation {' and '.join(known)}" if known else ""
