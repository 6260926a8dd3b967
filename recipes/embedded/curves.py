"""Draw the learning curves that a training left."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

LOG = Path(__file__).parent / "log"
STAGES = ("parts", "together", "colours")
"""The stages in their order; each has a file of its own in the log."""
SMOOTHED = 8
"""Rows of the log that are averaged for one point of a curve."""


def read_curve(file: Path) -> tuple[list[float], dict[str, list[float]]]:
    """Return minutes and losses of a stage; the losses of a second model are named apart."""
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    curves: dict[str, list[float]] = {}
    for row in rows:
        for pair in row["losses"].split():
            name, values = pair.split("=")
            for model, value in zip(("", " (reference)"), values.split("/"), strict=False):
                curves.setdefault(name + model, []).append(float(value))
    return [float(row["seconds"]) / 60 for row in rows], curves


def draw_curves(log: Path = LOG) -> Path:
    """Draw the losses of each stage over its minutes, as `curves.svg` in the log's folder."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    for panel, stage in zip(figure.subplots(1, len(STAGES)), STAGES, strict=True):
        minutes, curves = read_curve(log / f"{stage}.csv")
        for name, values in curves.items():
            starts = range(0, len(values), SMOOTHED)
            means = [sum(values[i : i + SMOOTHED]) / len(values[i : i + SMOOTHED]) for i in starts]
            panel.plot([minutes[i] for i in starts], means, label=name)
        panel.set(title=stage, xlabel="minutes", yscale="log")
        panel.legend(fontsize=8)
    target = log / "curves.svg"
    with matplotlib.rc_context({"svg.hashsalt": "retinoscope"}):
        figure.savefig(target, metadata={"Date": None})
    return target
