"""`retinoscope models`: the families that are known."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the families of vision-language models whose token geometry is known."""
    # Imported here so that --help answers at once: transformers takes seconds.
    from retinoscope.models.family import families

    rows = [
        {"family": family.name, "model_type": kind} for kind, family in sorted(families().items())
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("family", "model type")
    for row in rows:
        table.add_row(row["family"], row["model_type"])
    Console().print(table)
