"""`retinoscope models`: the families that are known, and what is proved of each."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the families of vision-language models, and what the tests prove of each."""
    # Imported here so that --help answers at once: transformers takes seconds.
    from retinoscope.models.family import families

    known = {family.name: family for family in families().values()}
    rows = [
        {
            "family": family.name,
            "model_types": [kind or "any other" for kind in family.model_types],
            "verified": list(family.verified),
            "unverified": list(family.unverified),
        }
        for family in sorted(known.values(), key=lambda family: family.name.lower())
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("family", "model types", "verified", "not verified", show_lines=True)
    for row in rows:
        table.add_row(row["family"], *("\n".join(row[column]) for column in list(row)[1:]))
    Console().print(table)
