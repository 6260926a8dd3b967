"""Cost against the number of conditions, and against the number of visual tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.table import NAMES

COLOURS = {"retinoscope": "#0072b2", "hooks": "#d55e00"}
LABELS = {"conditions": "conditions", "visual tokens": "visual tokens (40 conditions)"}


def draw(sweeps: dict[str, dict[str, dict[Any, float]]], path: Path) -> None:
    """Two panels, logarithmic, one line for each tool.

    Args:
        sweeps: panel -> tool -> number (text where it was read back from JSON) -> seconds.
        path: the SVG file.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels: Any = figure.subplots(1, 2)
    for panel, (name, label) in zip(panels, LABELS.items(), strict=True):
        measured = {
            tool: {int(x): y for x, y in points.items()} for tool, points in sweeps[name].items()
        }
        for tool, points in measured.items():
            xs, ys = sorted(points), [points[x] for x in sorted(points)]
            panel.plot(xs, ys, marker="o", color=COLOURS[tool], label=NAMES[tool])
        panel.set(xscale="log", yscale="log", xlabel=label, ylabel="seconds")
        shown = sorted({x for points in measured.values() for x in points})
        panel.set_xticks(shown, [f"{x:,}" for x in shown])
        panel.set_xticks([], minor=True)
        panel.spines[["top", "right"]].set_visible(False)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(frameon=False)
    figure.savefig(path)
