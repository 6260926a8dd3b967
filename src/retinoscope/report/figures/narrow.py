"""A figure's panels below each other, for pages as narrow as a phone's."""

from __future__ import annotations

import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from retinoscope.report.figures.style import styled, svg

WIDTH = 3.7
"""Inches: what a phone of 400 pixels leaves, at 96 pixels an inch."""

LONG = 14
"""Letters of a label, above which a panel is left too little room."""


def narrow_svg(figure: Figure, name: str) -> str:
    """A drawn figure for a phone, as `style.svg` gives it; "" where it is narrow as it is."""
    with styled(name):
        figure.set_layout_engine("constrained")
        return svg(figure, f"{name}-narrow") if stacked(figure) else ""


def stacked(figure: Figure) -> bool:
    """Lay a drawn figure's panels out anew, one below the other; False where it is narrow already.

    Sizes of type stay. Panels that borrowed their row's tick labels get labels of their own; a
    legend beside the panels becomes a column below them.
    """
    width, height = figure.get_size_inches()
    for spare in [axis for axis in figure.axes if not axis.axison]:
        spare.remove()
    panels = [axis for axis in figure.axes if axis.get_subplotspec() is not None]
    if width <= WIDTH or not panels:
        return False
    grid: Any = panels[0].get_subplotspec()
    rows = grid.get_gridspec().nrows
    for axis in panels:
        _own_labels(axis, panels)
    for bar in [axis for axis in figure.axes if axis not in panels]:
        # Its colours are those of the numbers in the cells.
        bar.remove()
    names = [label.get_text() for axis in panels for label in axis.get_yticklabels()]
    long = max(map(len, names), default=0)
    figure.set_size_inches(WIDTH, height / rows * len(panels) * (1.5 if long > LONG else 1.0))
    below = GridSpec(len(panels), 1, figure=figure)
    for index, axis in enumerate(panels):
        axis.set_subplotspec(below[index])
        _shorter(axis)
    for legend in figure.legends:
        handles = [one for one in legend.legend_handles if one is not None]
        names = [text.get_text() for text in legend.get_texts()]
        legend.remove()
        figure.legend(handles, names, loc="outside lower left", ncols=1)
    return True


def _row(axis: Axes) -> int:
    place: Any = axis.get_subplotspec()
    return place.rowspan.start


def _shorter(axis: Axes) -> None:
    """Labels that leave room for the panel: rows in two lines, columns aslant, titles wrapped."""
    rows = [label.get_text() for label in axis.get_yticklabels()]
    if max(map(len, rows), default=0) > LONG:
        axis.set_yticks(axis.get_yticks(), [name.replace(" \u2192", " \u2192\n") for name in rows])
    columns = [label.get_text() for label in axis.get_xticklabels()]
    if any(map(str.isalpha, "".join(columns))) and sum(map(len, columns)) > 2 * LONG:
        axis.tick_params(axis="x", labelrotation=50)
    title = axis.get_title(loc="left")
    axis.set_title("\n".join(textwrap.wrap(title, 3 * LONG)), loc="left")


def _own_labels(axis: Axes, panels: list[Axes]) -> None:
    place: Any = axis.get_subplotspec()
    row = [one for one in panels if _row(one) == place.rowspan.start]
    first = row[0]
    if first is axis:
        return
    axis.tick_params(labelleft=True)
    if not any(label.get_text() for label in axis.get_yticklabels()):
        labels = [label.get_text() for label in first.get_yticklabels()]
        axis.set_yticks(first.get_yticks(), labels)
    if not axis.get_ylabel():
        axis.set_ylabel(first.get_ylabel())
