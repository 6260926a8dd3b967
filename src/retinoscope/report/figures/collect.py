"""All figures of a run, and their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retinoscope.report.figures.narrow import narrow_svg
from retinoscope.report.figures.style import alone, pdf, svg
from retinoscope.report.parts import Part, Tables
from retinoscope.results.atomic import replacing


@dataclass(frozen=True)
class Drawing:
    """A figure as a page shows it.

    Attributes:
        name: file name without its ending.
        caption: what it shows, in one or two sentences.
        svg: the SVG element; its ink is `currentColor`.
        narrow: the same for a phone, its panels below each other; "" where it is narrow already.
        file: the SVG as a file of its own.
        pdf: the PDF file.
    """

    name: str
    caption: str
    svg: str
    narrow: str
    file: bytes
    pdf: bytes


def write_figures(
    parts: Sequence[Part], tables: Tables, folder: Path
) -> dict[str, tuple[Drawing, ...]]:
    """Draw everything that was measured into `folder` as SVG and PDF.

    Returns:
        The drawings by experiment.

    Raises:
        RunError: the folder can't be written.
    """
    return {part.name: tuple(_drawn(part, tables, folder)) for part in parts}


def _drawn(part: Part, tables: Tables, folder: Path) -> Iterator[Drawing]:
    for sketch in part.report.sketches(tables):
        figure = sketch.draw()
        if figure is None:
            continue
        name = sketch.name
        element = svg(figure, name)
        # Drawing has placed everything; placing it again for the PDF takes as long as drawing.
        figure.set_layout_engine("none")
        file = pdf(figure, name)
        narrow = narrow_svg(figure, name)
        drawing = Drawing(name, sketch.caption, element, narrow, alone(element), file)
        for ending, content in (("svg", drawing.file), ("pdf", drawing.pdf)):
            with replacing(folder / f"{name}.{ending}") as stream:
                stream.write(content)
        yield drawing
