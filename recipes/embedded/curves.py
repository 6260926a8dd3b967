"""Draw the learning curves of every stage from its log."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.figure import Figure

LOG = Path(__file__).parent / "log"
STAGES = (
    "vision",
    "language_model",
    "binding",
    "projector",
    "decoder",
    "places",
    "placed",
    "erasing",
    "things",
    "together",
    "pointing",
    "practice",
    "counting",
    "settling",
)
"""The stages in their order."""


def draw_curves() -> Path:
    """Draw loss and measures over minutes, one panel each stage, as `log/curves.svg`."""
    figure = Figure(figsize=(18, 5.2), layout="constrained")
    panels = figure.subplots(2, len(STAGES))
    for (above, below), stage in zip(panels.T, STAGES, strict=True):
        with (LOG / f"{stage}.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        above.plot([float(r["seconds"]) / 60 for r in rows], [float(r["loss"]) for r in rows])
        above.set_title(stage.replace("_", " "))
        curves: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            for pair in row["measures"].split():
                name, value = pair.split("=")
                curves.setdefault(name, []).append((float(row["seconds"]) / 60, float(value)))
        for name, points in curves.items():
            below.plot(*zip(*points, strict=True), marker=".", label=name)
        below.set(xlabel="minutes", ylim=(0, 1))
        below.legend(fontsize=7)
    panels[0, 0].set_ylabel("loss")
    panels[1, 0].set_ylabel("share right")
    target = LOG / "curves.svg"
    figure.savefig(target)
    return target
