"""The knockout figure: what each knockout loses in each window of layers."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from retinoscope.experiments.knockout.tables import GROUPS, TARGETS, TASKS, WINDOWS
from retinoscope.report.figures.style import GREY, INK, shade, styled
from retinoscope.report.wording import DASH, readable


def knockout_map(table: pl.DataFrame) -> Figure | None:
    """Decrease as a map of groups by windows, a panel for each task; the number in each cell.

    Args:
        table: the knockout table.

    Returns:
        Cells that were not measured carry a dash and no colour; None where nothing was measured.
    """
    named = table.filter(pl.col("window").is_in(WINDOWS) & pl.col("decrease").is_not_null())
    tasks = [task for task in TASKS if task in named["task"]]
    rows = [
        (target, group)
        for target in TARGETS
        for group in GROUPS
        if named.filter((pl.col("target") == target) & (pl.col("group") == group)).height
    ]
    if not tasks or not rows:
        return None
    with styled("knockout-windows"):
        size = (1.9 + 3.5 * len(tasks), 1.1 + 0.36 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0]
        for axis, task in zip(axes, tasks, strict=True):
            here = named.filter(pl.col("task") == task)
            cells = {(r["target"], r["group"], r["window"]): r for r in here.iter_rows(named=True)}
            _map(axis, cells, rows)
            axis.set_title(f"{task} (n = {here['n'].max()})")
        axes[0].set_yticks(
            [y + 0.5 for y in range(len(rows))],
            [f"{readable(group)} \u2192 {target}" for target, group in rows],
        )
    return figure


def _map(axis: Axes, cells: dict[Any, dict[str, Any]], rows: list[tuple[str, str]]) -> None:
    for y, (target, group) in enumerate(rows):
        for x, window in enumerate(WINDOWS):
            cell = cells.get((target, group, window))
            share = cell["decrease"] if cell else None
            axis.add_patch(
                Rectangle(
                    (x + 0.03, y + 0.05),
                    *(0.94, 0.9),
                    facecolor="none" if share is None else shade(share),
                    edgecolor=GREY,
                    linewidth=0.4 if share is None else 0,
                )
            )
            ink = GREY if share is None else INK
            text = DASH if share is None else f"{100 * share:.0f} %"
            axis.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=ink, fontsize=8)
    axis.set_xlim(0, len(WINDOWS))
    axis.set_ylim(len(rows), 0)
    axis.set_xticks([x + 0.5 for x in range(len(WINDOWS))], list(WINDOWS))
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
