"""`retinoscope compare`: runs of several models on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from retinoscope.cli.options import AsJson
from retinoscope.cli.printing import print_json


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run folders.")],
    out: Annotated[
        Path, typer.Option(help="Folder for compare.html and its tables.", show_default=True)
    ] = Path("runs/compare"),
    as_json: AsJson = False,
) -> None:
    """Set runs of several models side by side: one row a model.

    The page shows what each run's verdicts say, the figures that models are compared by with
    their intervals, and every headline figure. Unless the models are variants of one another,
    which differ in one choice of training alone, it says that differences are observational.
    `retinoscope reproduce --model A --model B` measures several models and ends with this page.
    """
    # Imported here so that --help answers at once.
    from retinoscope.report.compare import columns_table
    from retinoscope.report.compare import compare as write
    from retinoscope.results import read

    page = write(runs, out)
    if as_json:
        table = columns_table([read(run) for run in runs])
        print_json({"page": page.resolve(), "columns": table.to_dicts()})
        return
    Console().print(f"Comparison: {page.resolve()}", soft_wrap=True, highlight=False)
