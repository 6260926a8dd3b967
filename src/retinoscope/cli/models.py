"""`retinoscope models`: what works, falls back, is unplaced or refused, and what is proved."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from retinoscope.cli.options import AsJson
from retinoscope.cli.printing import print_json
from retinoscope.shipped import INSTALL, shipped_models, variants_folder


def models(
    variants: Annotated[
        bool, typer.Option("--variants", help="List the models that `embedded/NAME` loads instead.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="Print reasons, sites, and what is proved of each family."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List every class of vision-language model in transformers, one line each.

    The list is made by a test on tiny models with random weights; docs/models.md holds it whole.
    """
    if variants:
        _print_variants(as_json)
        return
    # Imported here so that --help answers at once: transformers takes seconds.
    from retinoscope.models.family import families
    from retinoscope.models.support import MEANING, supported

    known = families()
    classes = [asdict(row) for row in supported()]
    for row in classes:
        row["family"] = known[row["model_type"]].name if row["model_type"] in known else ""
    rows = _families()
    if as_json:
        print_json({"classes": classes, "families": rows})
        return
    console = Console()
    if not verbose:
        _print_lines(classes, console)
        return
    table = Table("model type", "family", "status", "sites", "remark")
    for row in classes:
        table.add_row(row["model_type"], row["family"], row["status"], row["sites"], row["reason"])
    console.print(table)
    for status, meaning in MEANING.items():
        console.print(f"[bold]{status}[/]: {meaning}")
    table = Table("family", "model types", "verified", "not verified", show_lines=True)
    for row in rows:
        table.add_row(row["family"], *("\n".join(row[column]) for column in list(row)[1:]))
    console.print(table)


def _print_lines(classes: list[dict[str, Any]], console: Console) -> None:
    """A line for each class: its model type, its status and its family."""
    from retinoscope.models.support import MEANING

    width = max(len(row["model_type"]) for row in classes)
    status = max(map(len, MEANING))
    for row in classes:
        line = f"{row['model_type']:{width}}  {row['status']:{status}}  {row['family']}"
        console.print(line.rstrip(), markup=False, highlight=False, no_wrap=True)
    for name, meaning in MEANING.items():
        console.print(f"{name:{status}}  {meaning}", markup=False, highlight=False, style="dim")
    console.print("--verbose says why, which sites there are, and what is proved of each family.")


def _print_variants(as_json: bool) -> None:
    """List what comes with the package and with the variants."""
    found = shipped_models()
    if as_json:
        print_json(found)
        return
    console = Console()
    table = Table("name", "what it is")
    for name, card in found.items():
        table.add_row(name, card)
    console.print(table)
    if variants_folder() is None:
        console.print(f"More come with the variants: {INSTALL}", markup=False)


def _families() -> list[dict[str, Any]]:
    """Each family with what the tests prove of it."""
    from retinoscope.models.family import families

    known = {family.name: family for family in families().values()}
    return [
        {
            "family": family.name,
            "model_types": [kind or "any other" for kind in family.model_types],
            "verified": list(family.verified),
            "unverified": list(family.unverified),
        }
        for family in sorted(known.values(), key=lambda family: family.name.lower())
    ]
