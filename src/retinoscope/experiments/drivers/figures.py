"""The drivers' figures: shares beside interventions, and the lens under them, layer by layer."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retinoscope.experiments.drivers.tables import PARTS
from retinoscope.experiments.drivers.verdict import named
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

_LOOKS = {"attention": (BLUE, "o-"), "mlp": (ORANGE, "s-")}
_TASK_LINES = {"poll": "-", "ask": "--"}


def beside(shares: pl.DataFrame, effects: pl.DataFrame, answers: pl.DataFrame) -> Figure | None:
    """Three panels by layer: what a sublayer adds; what the lens loses; what the answers lose."""
    single = effects.filter((pl.col("value") == "mean") & (pl.col("region") == "image"))
    single = single.filter(pl.col("layer") >= 0)
    if not single.height:
        return None
    asked = answers.filter((pl.col("value") == "mean") & (pl.col("region") == "image"))
    with styled("drivers-beside"):
        figure, axes = panels(3, 1, (3.5, 2.8))
        for part in PARTS:
            colour, line = _LOOKS[part]
            label = "attention" if part == "attention" else "MLP"
            added = shares.filter(read_at="last", part=part)
            _curve(axes[0][0], added, "layer", "logit", colour, line, label)
            _curve(axes[0][1], single.filter(part=part), "layer", "loss", colour, line)
            for task in asked["task"].unique().sort(descending=True):
                rows = asked.filter((pl.col("layer") >= 0), part=part, task=task)
                style = line[0] + _TASK_LINES.get(task, ":")
                _curve(axes[0][2], rows, "layer", "decrease", colour, style, band=False)
        tasks = asked["task"].unique().sort(descending=True).to_list()
        drawn = ", ".join(f"{task} {'dashed' if task == 'ask' else 'solid'}" for task in tasks)
        for axis, title in zip(
            axes[0],
            (
                "adds to the word's logit",
                "lens' best share lost without it",
                f"answers lost ({drawn})" if drawn else "answers lost",
            ),
            strict=True,
        ):
            axis.set_title(title)
            axis.set_xlabel("decoder layer (from 0)")
            axis.axhline(0, color=GREY, linewidth=0.6)
            rules(axis, "y")
        axes[0][0].set_ylabel("logits")
        for axis in axes[0][1:]:
            percent_axis(axis.yaxis)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def under_interventions(places: pl.DataFrame, effects: pl.DataFrame) -> Figure | None:
    """The lens by layer: clean, without sublayers, and without sources."""
    clean = places.filter(part="none")
    if not clean.height:
        return None
    mean = effects.filter((pl.col("value") == "mean") & (pl.col("region") == "image"))
    single = mean.filter((pl.col("layer") >= 0) & pl.col("part").is_in(PARTS))
    strongest = single.sort("loss", descending=True).head(1)
    with styled("drivers-layers"):
        figure, axes = panels(2, 1, (4.6, 3.0))
        for axis in axes[0]:
            _curve(axis, clean, "place", "share", INK, "o-", "clean")
        without = [("attention", -1, BLUE, "o--"), ("mlp", -1, ORANGE, "s--")]
        without += [(row["part"], row["layer"], GREEN, "^--") for row in strongest.to_dicts()]
        for part, layer, colour, line in without:
            rows = places.filter(part=part, layer=layer, value="mean", region="image")
            label = f"without {named({'part': part, 'layer': layer})}"
            _curve(axes[0][0], rows, "place", "share", colour, line, label, band=False)
        colours = zip((BLUE, ORANGE, GREEN, GREY, INK), ("o:", "s:", "^:", "v:", "x:"), strict=True)
        for (colour, line), value in zip(colours, _SOURCES, strict=True):
            rows = places.filter(part="source", value=value)
            label = f"can't read {_SOURCES[value]}"
            _curve(axes[0][1], rows, "place", "share", colour, line, label, band=False)
        titles = ("what sublayers add replaced by its mean", "attention to a source knocked out")
        for axis, title in zip(axes[0], titles, strict=True):
            axis.set_title(title)
            axis.set_xlabel("layer (0 is the embedding output)")
            axis.set_ylim(bottom=0)
            percent_axis(axis.yaxis)
            rules(axis, "y")
            axis.legend(loc="best", fontsize=7.5)
    return figure


_SOURCES = {
    "other patches": "any other patch",
    "same object": "the rest of the object",
    "not the object": "patches beside the object",
    "text": "text",
    "itself": "the patch itself",
}


def _curve(
    axis: Axes,
    rows: pl.DataFrame,
    by: str,
    column: str,
    colour: str,
    line: str,
    label: str | None = None,
    *,
    band: bool = True,
) -> None:
    known = rows.drop_nulls(column).sort(by)
    if not known.height:
        return
    look: dict[str, Any] = {"color": colour, "linewidth": 1.3, "markersize": 3.2}
    axis.plot(known[by].to_list(), known[column].to_list(), line, label=label, **look)
    ends = known.drop_nulls([f"{column}_low", f"{column}_high"])
    if ends.height and band:
        low, high = (ends[f"{column}{end}"].to_list() for end in ("_low", "_high"))
        axis.fill_between(ends[by].to_list(), low, high, color=colour, alpha=0.15, linewidth=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.tick_params(colors=INK)
