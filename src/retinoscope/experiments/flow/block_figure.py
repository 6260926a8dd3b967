"""The block figure: one object's image in blocks, each score's mass beside the measured effect."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from retinoscope.report.figures.style import INK, panels, shade, styled
from retinoscope.report.tables.order import shown_tasks

MAPS = ("rollout", "raw attention", "ALTI", "Chefer", "attribution patching")
"""Scores whose maps stand beside the effect's."""

EFFECT = "measured effect"


def block_figure(found: pl.DataFrame) -> Figure | None:
    """Maps of one probed item of each task: the measured effect, and each score's mass.

    Args:
        found: `block_map`.

    Returns:
        Squares are as dark as their number is large in their map; effects that raise the logit
        difference are blue. Blocks that touch the object are framed. None where no block was
        measured.
    """
    tasks = shown_tasks(found)
    if not tasks:
        return None
    with styled("flow-blocks"):
        figure, axes = panels(1 + len(MAPS), len(tasks), (1.65, 1.95))
        for row, task in zip(axes, tasks, strict=True):
            here = found.filter(task=task)
            named = here["class_name"][0]
            for axis, name in zip(row, (EFFECT, *MAPS), strict=True):
                measured = name == EFFECT
                one = here.filter(score=MAPS[0] if measured else name)
                _map(axis, one, "drop" if measured else "mass")
                axis.set_title(f"{task}: {named}\n{name}" if measured else f"\n{name}", fontsize=8)
    return figure


def _map(axis: Axes, cells: pl.DataFrame, column: str) -> None:
    values = [abs(value or 0.0) for value in cells[column].to_list()]
    most = max(values, default=0.0) or 1.0
    for row in cells.iter_rows(named=True):
        found = row[column] or 0.0
        place = (row["column"] + 0.04, row["row"] + 0.04)
        square = Rectangle(place, 0.92, 0.92, facecolor=shade(found / most), lw=0)
        axis.add_patch(square)
        if row["on_object"]:
            axis.add_patch(Rectangle(place, 0.92, 0.92, fill=False, edgecolor=INK, lw=0.9))
    if cells.height:
        axis.set_xlim(0, int(str(cells["column"].max())) + 1)
        axis.set_ylim(int(str(cells["row"].max())) + 1, 0)
    axis.set_aspect("equal")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)
