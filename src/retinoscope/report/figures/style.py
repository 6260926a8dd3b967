"""One look for all figures, and their files.

One convention: nothing is the paper, more is orange, less is blue, in maps of numbers. Figures
carry no background and are shown in their own size, so that all have one size of type. Text and
axes are drawn in one marked ink colour, which becomes `currentColor` in the SVG, so that a figure
set into a page follows the page's theme. Data colours are middle tones of the Okabe-Ito set, which
hold against white and near-black alike and which people who don't see red and green apart can tell
apart.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure

BLUE, ORANGE, GREY, GREEN = "#2b84c6", "#dd8410", "#8b8f94", "#0f9b76"

DENSEST = 0.62
"""Opacity of the largest number in a map: the ink over it stays readable on light and dark."""

# No other part of a figure may use this colour: it is replaced.
INK = "#1b1c1d"

_RC: Mapping[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}

_ADAPT = "<style>svg{color:#1b1c1d}@media(prefers-color-scheme:dark){svg{color:#e8e6e3}}</style>"


def styled(name: str) -> Any:
    """A context in which matplotlib draws in our style; ids in the SVG start from `name`."""
    return mpl.rc_context({**_RC, "svg.hashsalt": name})


def panels(
    columns: int, rows: int = 1, size: tuple[float, float] = (3.2, 2.9)
) -> tuple[Figure, Any]:
    """A figure with a grid of axes.

    Args:
        columns: axes in a row.
        rows: rows of axes.
        size: width and height of one of them in inches.

    Returns:
        The figure, and its axes as an array [rows, columns].
    """
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def percent_axis(axis: Any) -> None:
    """Label an axis of shares in percent."""
    axis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")


def shade(share: float) -> tuple[float, float, float, float]:
    """The colour of a number in a map: nothing at 0, orange where more, blue where less.

    Zero is the page itself, in light and dark alike; beyond 1 the colour stays.

    Args:
        share: of the largest number, -1 to 1.
    """
    red, green, blue = to_rgb(BLUE if share < 0 else ORANGE)
    return red, green, blue, DENSEST * min(1.0, abs(share))


def scale_bar(figure: Figure, axes: Any, most: float, label: str) -> None:
    """A bar beside some axes that says what `shade`'s colours mean, from -most to most."""
    colours = ListedColormap([shade(step / 64) for step in range(-64, 65)])
    scale = ScalarMappable(Normalize(-most, most), colours)
    bar = figure.colorbar(scale, ax=list(axes), shrink=0.8, aspect=24, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def rules(axes: Axes, which: Any) -> None:
    """Faint lines to read values by."""
    axes.grid(visible=True, axis=which, color=GREY, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def svg(figure: Figure, name: str) -> str:
    """A figure as an SVG element whose ink is `currentColor`, to be set into a page."""
    stream = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with styled(name):
        figure.savefig(stream, format="svg", metadata=nothing)
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    # Pages hold several figures: ids that matplotlib counts from one would meet (nothing refers
    # to those of groups), and a style for every element of the page is not the figure's affair.
    text = re.sub(r'<g id="[^"]*"', "<g", text).replace('"text/css">*{', '"text/css">svg *{')
    return text.replace("'DejaVu Sans'", "system-ui")


def alone(element: str) -> bytes:
    """An SVG element as a file of its own, which follows the viewer's light or dark theme."""
    opening = element.index(">") + 1
    return (element[:opening] + _ADAPT + element[opening:]).encode()


def pdf(figure: Figure, name: str) -> bytes:
    """A figure as a PDF file; equal figures give equal bytes."""
    stream = io.BytesIO()
    with styled(name):
        figure.savefig(stream, format="pdf", metadata={"CreationDate": None})
    return stream.getvalue()
