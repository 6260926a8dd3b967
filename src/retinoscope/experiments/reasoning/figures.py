"""The figures of reasoning: what paths carry and where an answer can be exchanged, by layer."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retinoscope.report.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    panels,
    percent_axis,
    rules,
    styled,
)

COLUMNS = 3

_PATHS = {
    "anchor → question": (BLUE, "o-"),
    "anchor → last": (BLUE, "o--"),
    "between → question": (GREEN, "s-"),
    "between → last": (GREEN, "s--"),
    "answer → question": (ORANGE, "^-"),
    "answer → last": (ORANGE, "^--"),
    "anchor → answer": (INK, "d:"),
    "question → last": (GREY, "x-"),
}
_PLACES = {"asked word": (BLUE, "o-"), "question": (GREY, "x-"), "last": (ORANGE, "^-")}


def path_curves(table: pl.DataFrame) -> Figure | None:
    """Right answers lost where a path is knocked out from a layer on, a panel for each kind.

    Args:
        table: `paths_table`.
    """
    return _curves(
        table.filter(span="from"), "loss", _PATHS, "reasoning-paths", "knocked out from layer"
    )


def swap_curves(table: pl.DataFrame) -> Figure | None:
    """Share of answers that become the other question's, a panel for each kind.

    Args:
        table: `swaps_table`.
    """
    return _curves(table, "predicted", _PLACES, "reasoning-swaps", "swapped at layer")


def _curves(
    table: pl.DataFrame, column: str, styles: dict[str, tuple[str, str]], name: str, label: str
) -> Figure | None:
    kinds = table["kind"].unique().sort().to_list()
    if not kinds:
        return None
    columns = min(COLUMNS, len(kinds))
    with styled(name):
        figure, axes = panels(columns, -(-len(kinds) // columns), (3.1, 2.4))
        flat = axes.flatten()
        for axis, kind in zip(flat, kinds, strict=False):
            _panel(axis, table.filter(kind=kind), column, styles)
            axis.set_xlabel(label)
        for axis in flat[len(kinds) :]:
            axis.set_axis_off()
        lines = {line.get_label(): line for axis in flat for line in axis.get_lines()}
        named = [key for key in styles if key in lines]
        figure.legend(
            [lines[key] for key in named],
            named,
            loc="outside lower center",
            ncols=min(4, len(named)),
        )
    return figure


def _panel(axis: Axes, rows: pl.DataFrame, column: str, styles: dict[str, tuple[str, str]]) -> None:
    for place, (colour, line) in styles.items():
        here = rows.filter((pl.col("place") == place) & pl.col(column).is_not_null()).sort("layer")
        if not here.height:
            continue
        layers, low, high = (
            here[c].to_list() for c in ("layer", f"{column}_low", f"{column}_high")
        )
        axis.plot(
            layers,
            here[column].to_list(),
            line,
            color=colour,
            linewidth=1.2,
            markersize=3.5,
            label=place,
        )
        axis.fill_between(layers, low, high, color=colour, alpha=0.12, linewidth=0)
    axis.set_title(f"{rows['kind'][0].replace('_', ' ')} (n = {rows['n'].max()})")
    axis.set_ylim(-0.02, 1.02)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    percent_axis(axis.yaxis)
    rules(axis, "y")
