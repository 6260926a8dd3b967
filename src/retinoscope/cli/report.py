"""`retinoscope report`: draw a run's report again from its records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from retinoscope.cli.options import AsJson
from retinoscope.cli.printing import print_json
from retinoscope.worker import PROCESSES


def report(
    run: Annotated[Path, typer.Argument(help="The run folder, such as runs/<name>.")],
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another run folder to set beside it, such as one under another protocol; may "
            "be given several times."
        ),
    ] = None,
    card: Annotated[
        bool,
        typer.Option(
            "--card", help="Also write README.md, a dataset card for the Hugging Face hub."
        ),
    ] = False,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Print the tables here as well.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Draw tables, figures and pages again from a run folder's records.

    Prints what became of each claim; `--terminal` the tables, with the rules of the verdicts.

    With `--beside` the headline figures of other runs stand next to this run's, in the report, in
    `tables/beside.csv` and here, with how far each moved. To see what one switch of the original
    code does, compare with a run of `reproduce --protocol corrected,+SWITCH`.
    """
    # Imported here so that --help answers at once.
    from retinoscope.report.card import write_card
    from retinoscope.report.render import draw
    from retinoscope.report.summary import summary
    from retinoscope.report.tables.collect import collect
    from retinoscope.report.terminal import print_report, print_verdicts
    from retinoscope.results import read
    from retinoscope.results.store import gather

    console = Console()
    gather(run)
    results, others = read(run), [read(other) for other in beside or []]
    tables = collect(results)
    page = draw(results, tables, others, workers=PROCESSES)
    written = {"report": page.resolve()}
    if card:
        written["card"] = write_card(run).resolve()
    if as_json:
        print_json({**written, **summary(results, tables, others)})
        return
    if terminal or others:
        print_report(results, tables, console, others)
    else:
        print_verdicts(results, tables, console)
    for name, path in written.items():
        text = f"{name.capitalize()}: {path}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)
