"""The flow figures: deletion and insertion curves, and attention beside its knockout."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retinoscope.experiments.flow.records import FORMS, GROUPS, QUERIES
from retinoscope.report.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    panels,
    rules,
    shade,
    styled,
)
from retinoscope.report.tables.order import shown_tasks

_LOOKS: dict[str, tuple[str, str, float]] = {
    "rollout": (ORANGE, "o-", 2.2),
    "raw attention": (BLUE, "s-", 2.2),
    "ALTI": (GREEN, "^-", 1.1),
    "Chefer": ("#b65fb0", "v-", 1.1),
    "attribution patching": ("#c9514a", "D-", 1.1),
    "measured alone": ("#8a7a2a", "P-", 1.1),
    "object mask": ("#4d9fb0", "X--", 1.1),
    "random": (GREY, "--", 1.6),
}
"""Colour, marker and line, and width of each order that is drawn; the tables have them all."""

BANDS = ("rollout", "raw attention", "random")
"""Orders that are drawn with their interval."""


def curve_figure(curves: pl.DataFrame, value: str) -> Figure | None:
    """What is left of the logit difference against the number of tokens; tasks across, ways down.

    Args:
        curves: the table of curves.
        value: what stands in ablated tokens' place.
    """
    here = curves.filter(pl.col("value") == value)
    tasks = shown_tasks(here)
    if not tasks:
        return None
    ways = {"deletion": "first tokens deleted", "insertion": "all but the first deleted"}
    with styled("flow-curves"):
        figure, axes = panels(len(tasks), len(ways), (4.4, 2.7))
        for row, (way, title) in zip(axes, ways.items(), strict=True):
            for axis, task in zip(row, tasks, strict=True):
                rows = here.filter(task=task, direction=way)
                _curves(axis, rows)
                axis.set_title(f"{task}, {title} (n = {rows['left_n'].max() or 0})")
            row[0].set_ylabel("logit difference left")
        for axis in axes[-1]:
            axis.set_xlabel("tokens deleted, or kept (highest scores first)")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _curves(axis: Axes, rows: pl.DataFrame) -> None:
    for score, (colour, line, width) in _LOOKS.items():
        one = rows.filter(pl.col("score") == score).drop_nulls("left").sort("size")
        if not one.height:
            continue
        sizes = one["size"].to_list()
        axis.plot(
            sizes,
            one["left"].to_list(),
            line,
            color=colour,
            linewidth=width,
            markersize=3.2,
            label=score,
        )
        if score in BANDS and not one["left_low"].null_count():
            low, high = one["left_low"].to_list(), one["left_high"].to_list()
            axis.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
    axis.axhline(0, color=GREY, linewidth=0.6)
    axis.axhline(1, color=GREY, linewidth=0.6, linestyle=":")
    axis.set_xscale("log", base=2)
    sizes = sorted({*rows["size"].to_list()})
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.tick_params(colors=INK)
    rules(axis, "y")


def cut_figure(cuts: pl.DataFrame) -> Figure | None:
    """The last position's attention by layer and group, beside what knocking it out loses.

    Args:
        cuts: the table of cuts.
    """
    here = cuts.filter((pl.col("queries") == QUERIES[0]) & (pl.col("form") == FORMS[0]))
    tasks = shown_tasks(here)
    groups = [group for group in GROUPS if group in here["group"]]
    if not tasks:
        return None
    layers = sorted({*here["layer"].to_list()})
    with styled("flow-cuts"):
        size = (0.78 * len(groups) + 1.5, 0.24 * len(layers) + 1.6)
        figure, axes = panels(2, len(tasks), size)
        for row, task in zip(axes, tasks, strict=True):
            cells = {
                (r["layer"], r["group"]): r for r in here.filter(task=task).iter_rows(named=True)
            }
            for axis, column in zip(row, ("attention", "drop"), strict=True):
                _map(axis, cells, layers, groups, column)
            most = max(r["drop_n"] for r in cells.values())
            row[0].set_title(f"{task}: attention, % (n = {most})")
            row[1].set_title("logit difference lost when knocked out, %")
            row[0].set_ylabel("decoder layer (from 0)")
    return figure


def _map(
    axis: Axes, cells: dict[Any, dict[str, Any]], layers: list[int], groups: list[str], column: str
) -> None:
    """Cells filled by how large a number is among the panel's."""
    most = max((abs(row[column] or 0.0) for row in cells.values()), default=0.0) or 1.0
    for y, layer in enumerate(layers):
        for x, group in enumerate(groups):
            row = cells.get((layer, group))
            found = None if row is None else row[column]
            if found is None:
                continue
            axis.fill(
                [x + 0.03, x + 0.97, x + 0.97, x + 0.03],
                [y + 0.04, y + 0.04, y + 0.96, y + 0.96],
                facecolor=shade(found / most),
                linewidth=0,
            )
            strong = column == "drop" and row is not None and (row["holm"] or 1.0) < 0.05
            axis.text(
                x + 0.5,
                y + 0.5,
                f"{100 * found:.0f}".replace("-0", "0").replace("-", "\u2212"),
                ha="center",
                va="center",
                fontsize=7.5,
                fontweight="bold" if strong else "normal",
            )
    axis.set_xlim(0, len(groups))
    axis.set_ylim(len(layers), 0)
    axis.set_xticks(
        [x + 0.5 for x in range(len(groups))], [group.replace(" ", "\n") for group in groups]
    )
    axis.set_yticks([y + 0.5 for y in range(len(layers))], [str(layer) for layer in layers])
    axis.tick_params(length=0, colors=INK)
    for spine in axis.spines.values():
        spine.set_visible(False)
