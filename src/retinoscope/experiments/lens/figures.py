"""The lens figure: what patches decode to, layer by layer, on the object and beside it."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retinoscope.report.figures.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    panels,
    percent_axis,
    rules,
    styled,
)

_REGIONS = (("object", BLUE, "o"), ("background", ORANGE, "s"))


def lens_curves(by_layer: pl.DataFrame, summary: pl.DataFrame) -> Figure | None:
    """Four panels by layer: share that names the object, rank, log-probability, entropy.

    Args:
        by_layer: the lens table.
        summary: the lens summary, for the mean best layer.

    Returns:
        Shares with 95 % intervals of the mean over objects; the others with the quartiles of the
        objects as a band; None where nothing was measured.
    """
    if not by_layer.height:
        return None
    with styled("lens-layers"):
        figure, axes = panels(2, 2, (4.6, 2.6))
        _shares(axes[0][0], by_layer, summary)
        for axis, column, title in (
            (axes[0][1], "rank", "rank of the class word (0 is the top)"),
            (axes[1][0], "log_probability", "log-probability of the class word (nats)"),
            (axes[1][1], "entropy", "entropy of the decoded words (nats)"),
        ):
            for region, colour, marker in _REGIONS:
                rows = by_layer.filter(pl.col("region") == region)
                ends = (f"{column}_q25", f"{column}_q75")
                _curve(axis, rows, column, ends, colour, f"{marker}-")
            axis.set_title(title)
            rules(axis, "y")
        axes[0][1].set_yscale("symlog", linthresh=1)
        axes[0][1].set_ylim(bottom=0)
        for axis in axes[1]:
            axis.set_xlabel("layer (0 is the embedding output)")
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def _shares(axis: Axes, by_layer: pl.DataFrame, summary: pl.DataFrame) -> None:
    for region, colour, marker in _REGIONS:
        rows = by_layer.filter(pl.col("region") == region)
        for measure, line in (("strict", f"{marker}-"), ("lenient", "--")):
            column = f"{measure}_macro"
            ends = (f"{column}_low", f"{column}_high")
            _curve(axis, rows, column, ends, colour, line, f"{region}, {measure}")
    best = summary.filter((pl.col("measure") == "strict") & pl.col("best_layer").is_not_null())
    for row in best.iter_rows(named=True):
        axis.axvline(row["best_layer"], color=INK, linewidth=0.8, linestyle=":")
        axis.annotate(
            f"mean best layer {row['best_layer']:.1f}",
            (row["best_layer"], 1),
            xycoords=("data", "axes fraction"),
            xytext=(-4, -2),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=7.5,
        )
    objects = by_layer.filter(pl.col("region") == "object")["objects"].max()
    axis.set_title(f"patches that name the object (n = {objects or 0} objects)")
    axis.set_ylim(bottom=0)
    percent_axis(axis.yaxis)
    rules(axis, "y")


def _curve(
    axis: Axes,
    rows: pl.DataFrame,
    column: str,
    ends: tuple[str, str],
    colour: str,
    line: str,
    name: str | None = None,
) -> None:
    known = rows.filter(pl.col(column).is_not_null()).sort("layer")
    layers = known["layer"].to_list()
    axis.plot(
        layers,
        known[column].to_list(),
        line,
        color=colour,
        linewidth=1.3,
        markersize=3,
        label=name,
    )
    if not known[ends[0]].null_count():
        low, high = (known[end].to_list() for end in ends)
        axis.fill_between(layers, low, high, color=colour, alpha=0.18, linewidth=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.tick_params(colors=INK)
    axis.spines["bottom"].set_edgecolor(GREY)
