"""Figures of the study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recipes.variants.catalogue import VARIANTS
from recipes.variants.study.contrast import LENS, at_end, clean, curve, peaks, seeds_of

BLUE, ORANGE, GREY = "#2166ac", "#c4501b", "#888888"
MAIN = ("V0", "V1", "V2", "V3", "V10")
COLOURS = tuple(f"C{number}" for number in range(10))
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "refinement",
    "figure.constrained_layout.use": True,
}


def draw_all(variants: pl.DataFrame, embedded: pl.DataFrame, folder: Path) -> list[Path]:
    """Draw every figure as SVG; give the files in the order of the page."""
    with plt.rc_context(STYLE):
        drawn = {
            "peaks": _peaks(variants),
            "layers": _layers(variants, embedded),
            "accuracy": _accuracy(variants, embedded),
            "interventions": _interventions(variants),
        }
        files = []
        for name, figure in drawn.items():
            files.append(folder / f"refinement-{name}.svg")
            # Within the style, whose salt makes one figure the same file every time.
            figure.savefig(files[-1], metadata={"Date": None})
            plt.close(figure)
    return files


def _peaks(table: pl.DataFrame) -> Figure:
    """Peak share of each seed of each variant."""
    ends = at_end(peaks(table))
    known = set(ends["variant"])
    names = [name for name in VARIANTS if name in known]
    figure, axis = plt.subplots(figsize=(7.5, 3.6))
    for row, name in enumerate(names):
        axis.plot(seeds_of(ends, name), [row] * len(seeds_of(ends, name)), "o", color=BLUE)
    null = max(seeds_of(ends, "random"))
    axis.axvline(null, color=GREY, linestyle="--", label="random weights, the highest")
    axis.set_xlabel("share of object patches that read as their word, best layer")
    axis.set_yticks(range(len(names)), [f"{name}  {VARIANTS[name].change}" for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlim(-0.01, 1)
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 1.13))
    return figure


def _layers(table: pl.DataFrame, embedded: pl.DataFrame) -> Figure:
    """Lens and probe over layers."""
    figure, axes = plt.subplots(1, 3, figsize=(8, 2.8))
    for axis, measure, title in (
        (axes[0], LENS, "logit lens, variants"),
        (axes[1], "probe", "linear probe, variants"),
    ):
        for name, colour in zip((*MAIN, "random"), COLOURS, strict=False):
            rows = at_end(clean(table, measure)).filter(pl.col("variant") == name)
            for seed in sorted(set(rows["seed"])):
                one = rows.filter(pl.col("seed") == seed).sort("layer")
                label = name if seed == 0 else None
                axis.plot(one["layer"], one["value"], color=colour, alpha=0.7, label=label)
        axis.set_title(title)
    control = at_end(clean(table, "probe_control")).group_by("layer").agg(pl.col("value").max())
    control = control.sort("layer")
    axes[1].plot(control["layer"], control["value"], ":", color=GREY)
    axes[1].text(0, 0.08, "shuffled labels, max", fontsize=7, color="#555555")
    axes[1].legend(*axes[0].get_legend_handles_labels(), frameon=False, fontsize=7, loc="center")
    for name, colour in (("reference", BLUE), ("pointed", ORANGE)):
        one = clean(embedded, LENS).filter(pl.col("variant") == name).sort("layer")
        axes[2].plot(one["layer"], one["value"], "o-", color=colour, label=name)
    axes[2].set_title("logit lens, shipped models")
    axes[2].legend(frameon=False, fontsize=7)
    for axis in axes:
        axis.set(xlabel="layer (0: embeddings)", ylim=(-0.02, 1.02))
    axes[0].set_ylabel("share of object patches")
    return figure


def _accuracy(table: pl.DataFrame, embedded: pl.DataFrame) -> Figure:
    """The lens against accuracy over the checkpoints."""
    figure, axis = plt.subplots(figsize=(5.5, 3.2))
    for name, colour in zip(MAIN, COLOURS, strict=False):
        for seed in sorted(set(table.filter(pl.col("variant") == name)["seed"])):
            accuracy, lens = curve(table, name, seed)
            axis.plot(
                accuracy, lens, ".-", color=colour, alpha=0.7, label=name if not seed else None
            )
    ends = peaks(embedded)
    for name, mark in (("reference", "s"), ("pointed", "D")):
        right = clean(embedded, "accuracy").filter(pl.col("task") == "all")
        axis.plot(seeds_of(right, name), seeds_of(ends, name), mark, color="k", label=name)
    axis.set(xlabel="answers right, all questions", ylabel="peak share of the lens")
    axis.set(xlim=(0, 1), ylim=(-0.01, 1))
    axis.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    return figure


def _interventions(table: pl.DataFrame) -> Figure:
    """Peak share and accuracy with parts of the decoder averaged out at visual tokens."""
    names = ["V0", "V2", "V10"]
    rows = at_end(table).filter(pl.col("split") == "validation")
    order = ["clean", *(f"mlp_{n}_mean" for n in range(8)), "mlps_mean"]
    order += ["attention_0_mean", "attentions_mean", "visual_sees_itself"]
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    lens = rows.filter(pl.col("measure") == LENS)
    lens = lens.group_by("variant", "seed", "condition").agg(pl.col("value").max())
    right = rows.filter(pl.col("measure") == "accuracy", pl.col("task") == "all")
    for axis, found in zip(axes, (lens, right), strict=True):
        for number, name in enumerate(names):
            for at, condition in enumerate(order):
                one = found.filter(pl.col("variant") == name, pl.col("condition") == condition)[
                    "value"
                ]
                height = at + 0.22 * (number - 1)
                colour = (BLUE, ORANGE, GREY)[number]
                label = name if at == 0 else None
                axis.plot(one, np.full(len(one), height), ".", color=colour, label=label)
        _only_left(axis)
    axes[0].set_yticks(range(len(order)), [name.replace("_", " ") for name in order])
    axes[0].invert_yaxis()
    axes[0].set_xlabel("peak share of the lens")
    axes[1].set_xlabel("answers right, all questions")
    axes[1].legend(frameon=False, loc="lower left")
    return figure


def _only_left(axis: Axes) -> None:
    axis.set_xlim(left=0)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
