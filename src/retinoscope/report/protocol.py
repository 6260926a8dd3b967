"""The protocol section of a report: what was chosen, and what each choice does to the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from retinoscope.report.grids import Cell, Grid
from retinoscope.report.parts import Tables
from retinoscope.report.tables.choices import ALL, BASE, headline
from retinoscope.report.tables.headline import MEASURES, side_by_side
from retinoscope.report.visible import visible
from retinoscope.report.wording import DASH, count, interval, number, percent
from retinoscope.results.protocol import (
    NOT_REPEATED,
    SWITCHES,
    Protocol,
    protocol_name,
    recorded_protocol,
)
from retinoscope.results.store import Results

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ProtocolSection:
    """What a report says of its run's protocol.

    Attributes:
        name: the protocol, such as "corrected" or "paper,-prefix_match".
        switches: every switch, on or off, and what it means.
        choices: what each choice of scoring alone would move, from this run's records.
        not_repeated: (what the original does, why no switch repeats it).
        runs: the runs that are compared, this one first; no rows where it stands alone.
        beside: their headline figures side by side.
    """

    name: str
    switches: Grid
    choices: tuple[Grid, ...]
    not_repeated: tuple[tuple[str, str], ...]
    runs: Grid
    beside: tuple[Grid, ...]


def protocol_section(
    results: Results, tables: Tables, beside: Sequence[Results] = ()
) -> ProtocolSection:
    """What to say of a run's protocol.

    Args:
        results: the run.
        tables: its tables.
        beside: runs to compare it with.

    Raises:
        RunError: a run's protocol is not known to this version.
    """
    protocol = recorded_protocol(results.manifest.configuration)
    return ProtocolSection(
        name=protocol_name(protocol),
        switches=_switch_grid(protocol),
        choices=choice_grids(tables["scoring_choices"]),
        not_repeated=NOT_REPEATED,
        runs=run_grid(results, beside),
        beside=comparison_grids(compare_runs(results, beside)),
    )


def compare_runs(results: Results, beside: Sequence[Results]) -> pl.DataFrame:
    """Headline figures of a run and of others, each under its own protocol.

    Returns:
        `side_by_side`, named by run; no rows where there is no other run.
    """
    if not beside:
        return side_by_side({})
    runs = [results, *beside]
    figures = [headline(run, recorded_protocol(run.manifest.configuration)) for run in runs]
    return side_by_side(dict(zip(run_names(runs), figures, strict=True)))


def run_grid(results: Results, beside: Sequence[Results]) -> Grid:
    """The compared runs: what they are, and how many objects they share with the first."""
    runs = [results, *beside] if beside else []
    rows = []
    for name, run in zip(run_names(runs), runs, strict=True):
        manifest, own = run.manifest, _kept(run)
        shared = own.join(_kept(results), on=own.columns, how="semi").height
        texts = (name, manifest.model.name, str(manifest.data.get("spec", DASH)))
        counts = (count(own.height), count(shared))
        rows.append(tuple(map(Cell, (*texts, *counts))))
    heads = ("run (protocol)", "model", "data", "objects kept", "of them in the first run")
    return Grid("Runs side by side", heads, tuple(rows))


def comparison_grids(table: pl.DataFrame) -> tuple[Grid, ...]:
    """A grid for each experiment, task and measure of `side_by_side`; a column for each name."""
    grids = []
    for (experiment, task, measure), group in table.group_by(
        "experiment", "task", "measure", maintain_order=True
    ):
        names = table["name"].unique(maintain_order=True).to_list()
        title = f"{str(experiment).capitalize()}, {task}: {MEASURES[str(measure)].words}"
        grids.append(_comparison_grid(title, group, names))
    return tuple(grids)


def choice_grids(table: pl.DataFrame) -> tuple[Grid, ...]:
    """What each choice of scoring moves; only the columns that score the grid's task."""
    grids = []
    for (experiment, task, measure), group in table.group_by(
        "experiment", "task", "measure", maintain_order=True
    ):
        names = [
            switch.name
            for switch in SWITCHES
            if task in switch.tasks
            and switch.measure == measure
            and (experiment == "ablation" or not switch.replaced)
        ]
        if names:
            title = f"{str(experiment).capitalize()}, {task}: {MEASURES[str(measure)].words}"
            together = [ALL] if len(names) > 1 else []
            grids.append(_comparison_grid(title, group, [BASE, *names, *together]))
    return tuple(grids)


def _comparison_grid(title: str, group: pl.DataFrame, names: Sequence[str]) -> Grid:
    cells = {(row["name"], row["row"]): row for row in group.iter_rows(named=True)}
    rows = [
        (Cell(label), *(_cell(cells.get((name, label)), first=name == names[0]) for name in names))
        for label in group["row"].unique(maintain_order=True)
    ]
    return Grid(title, ("", *names), tuple(rows))


def _cell(row: Row | None, *, first: bool) -> Cell:
    """A figure with its interval and n, and but in the first column by how much it moved."""
    if row is None or row["value"] is None:
        return Cell(DASH)
    scale, digits = MEASURES[row["measure"]].scale, MEASURES[row["measure"]].digits
    points = scale == 100.0
    text = percent(row["value"]) if points else number(row["value"], digits)
    lines = [interval(row["low"], row["high"], scale=scale, digits=digits), f"n = {row['n']}"]
    if not first and row["change"] is not None:
        moved = number(scale * row["change"], digits)
        sign = "" if row["change"] < 0 or not float(f"{scale * row['change']:.{digits}f}") else "+"
        lines.append(f"{sign}{moved}{' points' if points else ''}")
    return Cell(text, "\n".join(line for line in lines if line))


def _switch_grid(protocol: Protocol) -> Grid:
    rows = []
    for switch in SWITCHES:
        state = "original" if getattr(protocol, switch.name) else "corrected"
        kind = "scoring" if switch.scoring else "measuring"
        rows.append(tuple(map(Cell, (switch.name, state, kind, switch.original, switch.here))))
    heads = ("switch", "this run", "kind", "the original code (on)", "corrected (off, the default)")
    return Grid("Switches", heads, tuple(rows))


def _kept(results: Results) -> pl.DataFrame:
    return results["curation"].filter("kept").select("image_id", "object_id")


def run_names(runs: Sequence[Results]) -> list[str]:
    """A name for each run, with its protocol; equal ones are numbered."""
    names: list[str] = []
    for run in runs:
        protocol = protocol_name(recorded_protocol(run.manifest.configuration))
        name = f"{visible(run.manifest.name)} ({protocol})"
        names.append(f"{name} #{len(names) + 1}" if name in names else name)
    return names
