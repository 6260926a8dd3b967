"""All figures of a run, and their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from retinoscope.report.figures.ablation import matched_bars, size_curves
from retinoscope.report.figures.knockout import knockout_map
from retinoscope.report.figures.lens import lens_curves
from retinoscope.report.figures.style import alone, pdf, svg
from retinoscope.report.figures.sweep import head_map, layer_curves
from retinoscope.report.tables.collect import Tables
from retinoscope.results.atomic import replacing


@dataclass(frozen=True)
class Drawing:
    """A figure as a page shows it.

    Attributes:
        name: file name without its ending.
        caption: what it shows, in one or two sentences.
        svg: the SVG element; its ink is `currentColor`.
        file: the SVG as a file of its own.
        pdf: the PDF file.
    """

    name: str
    caption: str
    svg: str
    file: bytes
    pdf: bytes


def draw(tables: Tables) -> dict[str, tuple[str, Figure]]:
    """Name -> (caption, figure) of everything that was measured."""
    figures = {
        "ablation-matched": (
            "Share of right answers that become wrong when tokens are replaced by the mean visual "
            "token: the object's own (with 0, 1 or 2 tokens around it), and as many others of "
            "the same image. Whiskers: 95 % intervals.",
            matched_bars(tables.ablation),
        ),
        "ablation-sizes": (
            "The same by number of tokens replaced: at random, and those of the largest "
            "integrated gradients; diamonds are the object's own tokens. Whiskers: 95 % intervals.",
            size_curves(tables.ablation),
        ),
        "lens-layers": (
            "Logit lens by layer. Shares: mean over objects with its 95 % interval (a bootstrap "
            "over images); the other panels: mean over objects, band from the first to the third "
            "quartile.",
            lens_curves(tables.lens_by_layer, tables.lens_summary),
        ),
        "knockout-windows": (
            "Share of right answers that become wrong when attention from the target (after the "
            "arrow) to the group (before it) is blocked in a window of layers. A dash: not "
            "measured.",
            knockout_map(tables.knockout),
        ),
        "knockout-layers": (
            "The object +1 cut off from the last position in one layer at a time: what the right "
            "token's probability loses on average, and the share of right answers that become "
            "wrong, each with its 95 % interval.",
            layer_curves(tables.sweep),
        ),
        "knockout-heads": (
            "The same in one head of one layer at a time: mean loss of the right token's "
            "probability, in points (hundredths). Orange: the answer loses; blue: it gains. "
            "Bold: some right answers became wrong.",
            head_map(tables.sweep),
        ),
    }
    return {name: (text, figure) for name, (text, figure) in figures.items() if figure is not None}


def write_figures(tables: Tables, folder: Path) -> dict[str, Drawing]:
    """Draw everything that was measured into `folder` as SVG and PDF.

    Raises:
        RunError: the folder can't be written.
    """
    drawings = {}
    for name, (caption, figure) in draw(tables).items():
        element = svg(figure, name)
        # Drawing has placed everything; placing it again for the PDF takes as long as drawing.
        figure.set_layout_engine("none")
        drawing = Drawing(name, caption, element, alone(element), pdf(figure, name))
        for ending, content in (("svg", drawing.file), ("pdf", drawing.pdf)):
            with replacing(folder / f"{name}.{ending}") as stream:
                stream.write(content)
        drawings[name] = drawing
    return drawings
