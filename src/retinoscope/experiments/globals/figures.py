"""The figures of the global features: what the background says, and who needs it."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retinoscope.experiments.globals.tables import KINDS, TASKS
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

_CURVES = (
    ("clean", "present", BLUE, "o-", "a class of the image"),
    ("clean", "present_null", GREY, "v:", "of another image (chance)"),
    ("tokens", "present", GREEN, "^--", "objects' tokens replaced"),
    ("pixels", "present", ORANGE, "s--", "objects' pixels erased"),
)


def read_curves(table: pl.DataFrame) -> Figure | None:
    """Share of patches that decode to a class of their image, by layer.

    Args:
        table: the read table.

    Returns:
        None where nothing was measured.
    """
    regions = [one for one in ("far background", "object") if one in table["region"]]
    if not regions:
        return None
    with styled("globals-read"):
        figure, axes = panels(len(regions), 1, (4.2, 2.8))
        for axis, region in zip(axes[0], regions, strict=True):
            here = table.filter(pl.col("region") == region)
            for state, name, colour, line, label in _CURVES:
                rows = here.filter(pl.col("state") == state).drop_nulls(name).sort("layer")
                axis.plot(rows["layer"], rows[name], line, color=colour, ms=4, label=label)
                known = rows.drop_nulls(f"{name}_low")
                ends = (known[f"{name}_low"], known[f"{name}_high"])
                axis.fill_between(known["layer"], *ends, color=colour, alpha=0.14, linewidth=0)
            axis.set_title(f"{region} patches (n = {here['present_n'].max()} images)")
            axis.set_xlabel("layer (0 is the embedding output)")
            axis.set_ylim(bottom=0)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            percent_axis(axis.yaxis)
            rules(axis, "y")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def need_bars(table: pl.DataFrame) -> Figure | None:
    """Changed answers without each kind of tokens and with it alone, a panel for each task.

    Args:
        table: the answer table.

    Returns:
        None where nothing was measured.
    """
    tasks = [task for task in TASKS if task in table["task"] and task != "poll-absent"]
    kinds = [kind for kind in KINDS if kind in table["token_type"]]
    if not tasks:
        return None
    with styled("globals-need"):
        size = (2.4, 1.2 + 0.28 * len(kinds))
        figure, axes = panels(len(tasks), 1, size)
        for axis, task in zip(axes[0], tasks, strict=True):
            here = table.filter(pl.col("task") == task)
            _bars(axis, here, kinds, "ablate", BLUE, -0.18, "without these tokens")
            _bars(axis, here, kinds, "keep", ORANGE, 0.18, "with these alone")
            axis.set_title(task)
            axis.set_ylim(len(kinds) - 0.4, -0.6)
            axis.set_xlim(-0.03, 1.03)
            axis.set_yticks(range(len(kinds)), kinds if axis is axes[0][0] else [""] * len(kinds))
            percent_axis(axis.xaxis)
            rules(axis, "x")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _bars(
    axis: Axes,
    here: pl.DataFrame,
    kinds: list[str],
    mode: str,
    colour: str,
    shift: float,
    what: str,
) -> None:
    """A mark for the kind, with its interval, and a hollow one for as many tokens at random."""
    for random, face, label in ((False, colour, what), (True, "none", f"{what}, random")):
        rows = here.filter(pl.col("mode") == mode, pl.col("random") == random)
        found = {row["token_type"]: row for row in rows.iter_rows(named=True)}
        known = [(place, found[kind]) for place, kind in enumerate(kinds) if kind in found]
        errors: Any = [
            [row["changed"] - row["changed_low"] for _, row in known],
            [row["changed_high"] - row["changed"] for _, row in known],
        ]
        axis.errorbar(
            [row["changed"] for _, row in known],
            [place + shift for place, _ in known],
            xerr=errors if known and not random else None,
            fmt="o",
            color=colour,
            markerfacecolor=face,
            markersize=5,
            linewidth=1,
            label=label,
        )
