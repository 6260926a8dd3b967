"""Several runs on one page: a model to a row, the verdicts, and every headline figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retinoscope.errors import RunError
from retinoscope.report.figures.narrow import narrow_svg
from retinoscope.report.figures.style import BLUE, INK, percent_axis, rules, styled, svg
from retinoscope.report.grids import Cell, Grid, Row
from retinoscope.report.page import facts, judged
from retinoscope.report.parts import Column, parts
from retinoscope.report.protocol import compare_runs, comparison_grids, run_grid, run_names
from retinoscope.report.tables.collect import collect, write_table
from retinoscope.report.tables.headline import MEASURES
from retinoscope.report.templating import fill
from retinoscope.report.visible import visible
from retinoscope.report.wording import DASH, interval, number
from retinoscope.results.atomic import replacing
from retinoscope.results.store import Results, gather, read

PANELS = 4
"""Of a figure, in a row."""

VARIANTS = "embedded/V"
"""What the names of models begin with that differ from each other in one choice of training."""


def compare(runs: Sequence[Path], out: Path) -> Path:
    """Write a page that shows runs side by side, and its tables as CSV.

    Args:
        runs: run folders, at least two.
        out: folder of `compare.html`, `columns.csv` and `figures.csv`.

    Returns:
        The path of the page.

    Raises:
        RunError: fewer than two runs, a folder that is no run, or one that can't be written.
    """
    if len(runs) < 2:
        raise RunError(f"A comparison needs at least two runs; got {len(runs)}.")
    for run in runs:
        gather(run)
    results = [read(run) for run in runs]
    write_table(columns_table(results), out / "columns.csv")
    write_table(compare_runs(results[0], results[1:]), out / "figures.csv")
    page = out / "compare.html"
    with replacing(page) as stream:
        stream.write(compare_page(results).encode())
    return page


def compare_page(results: Sequence[Results]) -> str:
    """The comparison as HTML."""
    table = columns_table(results)
    figure = columns_figure(table)
    return fill(
        "compare.html",
        scripts=("theme.js",),
        styles=("base.css", "report.css"),
        names=run_names(results),
        observational=is_observational(results),
        columns=columns_grid(table),
        figure="" if figure is None else svg(figure, "compare"),
        narrow="" if figure is None else narrow_svg(figure, "compare"),
        verdicts=verdicts_grid(results),
        runs=run_grid(results[0], results[1:]),
        figures=comparison_grids(compare_runs(results[0], results[1:])),
        facts=[(one.manifest.name, facts(one.manifest)) for one in results],
        visible=visible,
    )


def is_observational(results: Sequence[Results]) -> bool:
    """Whether the models differ in more than one choice, so that no difference has one cause."""
    if all(one.manifest.model == results[0].manifest.model for one in results):
        return False
    return not all(one.manifest.model.name.startswith(VARIANTS) for one in results)


def columns_table(results: Sequence[Results]) -> pl.DataFrame:
    """The headline figures that models are compared by.

    Returns:
        For each column and run: experiment, title, measure, name (of the run), value, low, high
        and n; null where the run did not measure it.
    """
    figures = compare_runs(results[0], results[1:])
    rows = []
    for name, column in _columns(results):
        chosen = {"experiment": name, "task": column.task}
        found = figures.filter(**chosen, measure=column.measure, row=column.row)
        known = {row["name"]: row for row in found.iter_rows(named=True)}
        for run in run_names(results):
            row = known.get(run, {})
            values = (row.get(part) for part in ("value", "low", "high", "n"))
            rows.append((name, column.title, column.measure, run, *values))
    texts = dict.fromkeys(("experiment", "title", "measure", "name"), pl.String)
    numbers = dict.fromkeys(("value", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema={**texts, **numbers, "n": pl.Int64}, orient="row")


def _columns(results: Sequence[Results]) -> list[tuple[str, Column]]:
    """Every column of the experiments that some run has, by experiment."""
    shown = {part.name: part for one in results for part in parts(one)}
    return [(name, column) for name, part in shown.items() for column in part.report.columns]


def columns_grid(table: pl.DataFrame) -> Grid:
    """One row a run, one column a figure."""
    titles = table["title"].unique(maintain_order=True).to_list()
    rows = []
    for (run,), group in table.group_by(["name"], maintain_order=True):
        known = {row["title"]: _cell(row) for row in group.iter_rows(named=True)}
        rows.append((Cell(str(run)), *(known[title] for title in titles)))
    return Grid("One row a run", ("", *titles), tuple(rows))


def _cell(row: Row) -> Cell:
    if row["value"] is None:
        return Cell(DASH)
    measure = MEASURES[row["measure"]]
    unit = " %" if measure.scale == 100.0 else ""
    span = interval(row["low"], row["high"], scale=measure.scale, digits=measure.digits)
    lines = (span, f"n = {row['n']}")
    text = f"{number(measure.scale * row['value'], measure.digits)}{unit}"
    return Cell(text, "\n".join(line for line in lines if line))


def verdicts_grid(results: Sequence[Results]) -> Grid:
    """What was judged of each run."""
    outcomes = [{one.name: one.outcome for one in judged(run, collect(run))} for run in results]
    names = list(dict.fromkeys(name for found in outcomes for name in found))
    rows = [
        (Cell(run), *(Cell(found.get(name, DASH)) for name in names))
        for run, found in zip(run_names(results), outcomes, strict=True)
    ]
    return Grid("What each run says", ("", *names), tuple(rows))


def columns_figure(table: pl.DataFrame) -> Figure | None:
    """A panel for each figure, a row for each run, with intervals."""
    known = table.filter(pl.col("value").is_not_null())
    titles = known["title"].unique(maintain_order=True).to_list()
    if not titles:
        return None
    runs = table["name"].unique(maintain_order=True).to_list()
    with styled("compare"):
        lines, columns = -(-len(titles) // PANELS), min(PANELS, len(titles))
        size = (2.2 * columns + 1.2, (0.8 + 0.3 * len(runs)) * lines)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
        for spare in axes.flatten()[len(titles) :]:
            spare.set_axis_off()
        for axis, title in zip(axes.flatten(), titles, strict=False):
            rows = known.filter(title=title)
            for row in rows.iter_rows(named=True):
                y = runs.index(row["name"])
                if row["low"] is not None:
                    axis.plot([row["low"], row["high"]], [y, y], color=BLUE, linewidth=1.4)
                axis.plot([row["value"]], [y], "o", color=BLUE, markersize=4.5)
            if MEASURES[rows["measure"][0]].scale == 100.0:
                axis.set_xlim(-0.03, 1.03)
                axis.set_xticks((0, 0.5, 1))  # closer ones meet those of the panel beside
                percent_axis(axis.xaxis)
            else:
                low, high = axis.get_xlim()
                axis.set_xlim(min(low, high - 2), max(high, low + 2))
                axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
            axis.set_title(title, fontsize=8)
            rules(axis, "x")
        for line in axes:
            line[0].set_yticks(range(len(runs)), runs, color=INK)
            line[0].set_ylim(len(runs) - 0.5, -0.5)
    return figure
