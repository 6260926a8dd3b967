"""`retinoscope report`: draw a run's report again from its records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def report(
    run: Annotated[Path, typer.Argument(help="The run folder, such as runs/<name>.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="Don't print the tables.")] = False,
) -> None:
    """Draw tables, figures and pages again from a run folder's records."""
    # Imported here so that --help answers at once.
    from retinoscope.report.render import render
    from retinoscope.report.terminal import print_report
    from retinoscope.results import read

    console = Console()
    page = render(run)
    if not quiet:
        print_report(read(run), console)
    console.print(f"Report: {page.resolve()}", soft_wrap=True, highlight=False)
