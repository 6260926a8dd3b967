"""The lenses' figure: what each reads layer by layer, and what its direction takes."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retinoscope.experiments.lenses.grids import NAMES
from retinoscope.experiments.lenses.tables import LENSES
from retinoscope.experiments.lenses.verdict import first_place
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

_LOOKS = {
    "logit": (INK, "o-"),
    "tuned-visual": (BLUE, "s-"),
    "tuned-text": (BLUE, "s:"),
    "latent": (ORANGE, "^-"),
    "jacobian": (GREEN, "D-"),
    "probe": (GREY, "v-"),
    "probe-shuffled": (GREY, "v:"),
}
_TASKS = {"poll": (BLUE, "o", 0.12), "ask": (ORANGE, "s", -0.12)}


def curves(places: pl.DataFrame, causes: pl.DataFrame) -> Figure | None:
    """Left: share of object patches that tell their class; right: loss over a random push.

    Args:
        places: `by_place`.
        causes: `causes`.

    Returns:
        None where nothing was measured.
    """
    if not places.height:
        return None
    with styled("lenses"):
        figure, axes = panels(2, 1, (5.2, 3.4))
        _shares(axes[0][0], places)
        _causes(axes[0][1], causes)
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _shares(axis: Axes, places: pl.DataFrame) -> None:
    for lens in LENSES:
        rows = places.filter(lens=lens).sort("place")
        if not rows.height:
            continue
        colour, line = _LOOKS[lens]
        x, y = rows["place"].to_list(), rows["share"].to_list()
        axis.plot(x, y, line, color=colour, linewidth=1.2, markersize=3.2, label=NAMES[lens])
    chance = places.filter(lens="logit").sort("place")
    axis.plot(
        chance["place"].to_list(),
        chance["other"].to_list(),
        "--",
        color=INK,
        linewidth=0.8,
        label="logit lens, another image's class",
    )
    axis.set_title("object patches that tell their class")
    axis.set_xlabel("layer (0 is the embedding output)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylim(bottom=0)
    percent_axis(axis.yaxis)
    rules(axis, "y")


def _causes(axis: Axes, causes: pl.DataFrame) -> None:
    place = first_place(causes)
    here = causes.filter(place=place).drop_nulls("extra")
    lenses = [lens for lens in LENSES if lens in set(here["lens"])]
    for task, (colour, marker, lift) in _TASKS.items():
        rows = {row["lens"]: row for row in here.filter(task=task).iter_rows(named=True)}
        for at, lens in enumerate(reversed(lenses)):
            row = rows.get(lens)
            if row is None:
                continue
            axis.plot([row["extra"]], [at + lift], marker, color=colour, markersize=4)
            if row["extra_low"] is not None:
                ends = [row["extra_low"], row["extra_high"]]
                axis.plot(ends, [at + lift] * 2, color=colour, linewidth=1.2)
    axis.axvline(0, color=GREY, linewidth=0.6)
    axis.set_yticks(range(len(lenses)), [NAMES[lens] for lens in reversed(lenses)])
    axis.set_title(f"loss over a random push, layer {place}")
    axis.set_xlabel("of the answer's logit difference (poll round, ask square)")
    rules(axis, "x")
