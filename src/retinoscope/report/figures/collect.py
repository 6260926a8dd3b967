"""All figures of a run, and their files."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from retinoscope.report.figures.narrow import narrow_svg
from retinoscope.report.figures.style import alone, pdf, svg
from retinoscope.report.parts import Part, Tables, every_part
from retinoscope.results.atomic import replacing
from retinoscope.worker import worker_pool

LEAST = 5
"""Experiments that each process draws at least. Measured on two idle cores, one process against
two: 16.5 s and 11.2 s for eleven experiments, 8.7 s and 8.6 s for six."""


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
    parts: Sequence[Part], tables: Tables, folder: Path, workers: int = 1
) -> dict[str, tuple[Drawing, ...]]:
    """Draw everything that was measured into `folder` as SVG and PDF.

    Args:
        parts: what the experiments bring.
        tables: what they draw from.
        folder: where the files go.
        workers: processes that draw, where parts are many enough; 1 is this one alone.

    Returns:
        The drawings by experiment.

    Raises:
        RunError: the folder can't be written.
    """
    workers = min(workers, len(parts) // LEAST)
    if workers > 1:
        # One that is killed, mostly for memory, is no reason to be without figures.
        with suppress(BrokenProcessPool), worker_pool(workers) as (pool, shared):
            given = shared / "tables"
            given.write_bytes(pickle.dumps(tables))
            names = [part.name for part in parts]
            drawn = pool.map(partial(_drawn_from, given, folder=folder), names)
            return dict(zip(names, drawn, strict=True))
    return {part.name: _drawn(part, tables, folder) for part in parts}


@cache
def _tables(given: Path) -> Tables:
    return pickle.loads(given.read_bytes())


def _drawn_from(given: Path, name: str, folder: Path) -> tuple[Drawing, ...]:
    (part,) = (part for part in every_part() if part.name == name)
    return _drawn(part, _tables(given), folder)


def _drawn(part: Part, tables: Tables, folder: Path) -> tuple[Drawing, ...]:
    found = []
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
        found.append(drawing)
    return tuple(found)
