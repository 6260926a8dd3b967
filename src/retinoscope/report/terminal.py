"""The report's tables and verdicts for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retinoscope.report.built_in import built_in
from retinoscope.report.grids import (
    Cell,
    Grid,
    ablation_grid,
    accuracy_grid,
    control_grid,
    knockout_grid,
    lens_summary_grid,
)
from retinoscope.report.protocol import compare_runs, comparison_grids, run_grid
from retinoscope.report.tables.ablation import VALUES
from retinoscope.report.tables.collect import Tables, collect
from retinoscope.report.verdicts import HELD, NOT_HELD, Verdict, verdicts
from retinoscope.report.visible import visible
from retinoscope.results.protocol import protocol_name, recorded_protocol
from retinoscope.results.records import TASKS
from retinoscope.results.store import Results

_COLOURS = {"met": "green", "not met": "red"}


def print_report(results: Results, console: Console, beside: Sequence[Results] = ()) -> None:
    """Print the protocol, the verdicts and the main tables of a run.

    Args:
        results: the run.
        console: where to.
        beside: runs whose headline figures are set beside this one's.

    Raises:
        RunError: the records hold a condition twice.
    """
    tables, protocol = collect(results), recorded_protocol(results.manifest.configuration)
    console.print(Text.assemble(("Protocol: ", "bold"), protocol_name(protocol)))
    compared = comparison_grids(compare_runs(results, tables, beside))
    for grid in (*main_grids(tables), run_grid(results, beside), *compared):
        if grid.rows:
            console.print(table(grid))
    trained = built_in(results.manifest.model)
    for verdict in verdicts(tables, results["knockout"], protocol):
        console.print(_verdict(verdict, trained.get(verdict.name, "")))


def main_grids(tables: Tables) -> list[Grid]:
    """The tables that carry the claims, in the order of the paper, one for each task.

    Of the replacement values only the first that was measured (the mean); the page has them all.
    """
    values = [value for value in VALUES if value in tables.ablation["value"]]
    tasks = [task for task in TASKS if task in tables.ablation["task"]]
    return [
        accuracy_grid(tables.clean_accuracy),
        *(ablation_grid(tables.ablation, value, (task,)) for value in values[:1] for task in tasks),
        control_grid(tables.ablation),
        lens_summary_grid(tables.lens_summary),
        *(
            knockout_grid(tables.knockout, task)
            for task in tables.knockout["task"].unique(maintain_order=True)
        ),
    ]


def table(grid: Grid) -> Table:
    """A grid as a rich table; its texts are text, never console markup."""
    named = [name for name, _ in grid.groups if name]
    # A single group, such as the task, goes into the title instead of over each column.
    title = f"{grid.title}: {named[0]}" if len(named) == 1 else grid.title
    made = Table(title=Text(title, style="bold"), title_justify="left", box=SIMPLE_HEAD)
    # Narrow tables have room for the interval beside its value, wide ones below.
    narrow = len(grid.heads) <= 5
    spans = [name for name, width in grid.groups for _ in range(width)] if len(named) > 1 else []
    for place, head in enumerate(grid.heads):
        group = spans[place] if spans else ""
        made.add_column(
            Text(f"{group}\n{head}" if group else head), justify="right" if place else "left"
        )
    for row in grid.rows:
        made.add_row(
            *(Text(visible(cell.text)).append(_detail(cell, narrow=narrow), "dim") for cell in row)
        )
    return made


def _detail(cell: Cell, *, narrow: bool) -> str:
    if not cell.detail:
        return ""
    return f" ({cell.detail.replace(chr(10), '; ')})" if narrow else f"\n{cell.detail}"


def _verdict(verdict: Verdict, trained: str) -> Text:
    colour = {HELD: "bold green", NOT_HELD: "bold red"}.get(verdict.outcome, "bold dim")
    text = Text(f"{verdict.name}: ", "bold").append(verdict.outcome, colour)
    if trained:
        text.append(f"\n  Built in by training: {trained} (The report holds the model card.)")
    text.append(f"\n  {verdict.claim}\n  {verdict.rule}")
    for check in verdict.checks:
        text.append(f"\n  [{check.mark}] ", _COLOURS.get(check.mark, "dim"))
        text.append(f"{check.condition}: {check.found}")
    return text.append("\n")
