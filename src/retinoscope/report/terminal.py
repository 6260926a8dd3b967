"""The report's tables and verdicts for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retinoscope.report.built_in import built_in
from retinoscope.report.grids import Cell, Grid, accuracy_grid, filled
from retinoscope.report.page import judged
from retinoscope.report.parts import Tables, parts
from retinoscope.report.protocol import compare_runs, comparison_grids, run_grid
from retinoscope.report.verdict import HELD, NOT_HELD, Verdict
from retinoscope.report.visible import visible
from retinoscope.results.protocol import protocol_name, recorded_protocol
from retinoscope.results.store import Results

_COLOURS = {"met": "green", "not met": "red"}


def print_report(
    results: Results, tables: Tables, console: Console, beside: Sequence[Results] = ()
) -> None:
    """Print the protocol, the verdicts and the main tables of a run.

    Args:
        results: the run.
        tables: its tables, of `collect`.
        console: where to.
        beside: runs whose headline figures are set beside this one's.
    """
    protocol = recorded_protocol(results.manifest.configuration)
    console.print(Text.assemble(("Protocol: ", "bold"), protocol_name(protocol)))
    compared = comparison_grids(compare_runs(results, beside))
    for grid in (*main_grids(results, tables), run_grid(results, beside), *compared):
        if grid.rows:
            console.print(table(grid))
    trained = built_in(results.manifest.model)
    for verdict in judged(results, tables):
        console.print(_verdict(verdict, trained.get(verdict.name, "")))


def print_verdicts(results: Results, tables: Tables, console: Console) -> None:
    """Print what became of each claim, a line each."""
    for verdict in judged(results, tables):
        colour = {HELD: "bold green", NOT_HELD: "bold red"}.get(verdict.outcome, "bold dim")
        text = Text.assemble((f"{verdict.name}: ", "bold"), (verdict.outcome, colour))
        console.print(text.append(f" - {verdict.claim}"))


def main_grids(results: Results, tables: Tables) -> tuple[Grid, ...]:
    """The tables that carry the claims, in the order of the paper."""
    brief = [grid for part in parts(results) for grid in part.report.section(tables).brief]
    return filled(accuracy_grid(tables["clean_accuracy"]), *brief)


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
            Text(f"{group}\n{head}" if group else head),
            justify="right" if place else "left",
            overflow="fold",
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
