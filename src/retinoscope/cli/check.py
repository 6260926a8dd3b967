"""`retinoscope check`: the first thing to run with a new model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def check(
    model: Annotated[str, typer.Argument(help="`embedded`, a folder or a hub name.")],
    image: Annotated[
        Path | None, typer.Argument(help="An image; one of the embedded scenes without it.")
    ] = None,
    question: Annotated[str, typer.Option(help="What to ask.")] = "Describe this image.",
    revision: Annotated[str | None, typer.Option(help="The model's revision on the hub.")] = None,
    device_map: Annotated[
        str | None, typer.Option(help="As in transformers: `auto`, `cuda`, ...; default CPU.")
    ] = None,
) -> None:
    """Check by its behaviour that a model can be looked into; status 1 where a check fails."""
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.data import embedded_scenes, load_image, open_image
    from retinoscope.experiments.checks import check as run_checks
    from retinoscope.models import load

    checkpoint = load(model, revision=revision, device_map=device_map)
    picture = open_image(image) if image else load_image(embedded_scenes(12).samples[0])
    found = run_checks(checkpoint, picture, question)
    words = {True: "[green]passed[/]", False: "[bold red]failed[/]", None: "can't be asked"}
    table = Table("check", "result", "detail", show_lines=True)
    for one in found:
        table.add_row(one.name, words[one.passed], one.detail)
    Console().print(table)
    if any(one.passed is False for one in found):
        raise typer.Exit(1)
