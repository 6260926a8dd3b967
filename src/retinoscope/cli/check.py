"""`retinoscope check`: the first thing to run with a new model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retinoscope.cli.options import AsJson, Device, DeviceMap, Dtype, Revision, model_options
from retinoscope.cli.printing import print_json

if TYPE_CHECKING:
    from retinoscope.experiments.checks import Check


def check(
    model: Annotated[str, typer.Argument(help="`embedded`, a folder or a hub name.")],
    image: Annotated[
        Path | None, typer.Argument(help="An image; one of the embedded scenes without it.")
    ] = None,
    question: Annotated[str, typer.Option(help="What to ask.")] = "Describe this image.",
    revision: Revision = None,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    as_json: AsJson = False,
) -> None:
    """Test whether Retinoscope works with a model; exits with status 1 if a check fails."""
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.data import embedded_scenes, load_image, open_image
    from retinoscope.experiments.checks import check as run_checks
    from retinoscope.models import load

    checkpoint = load(model, **model_options(revision, dtype, device, device_map))
    picture = open_image(image) if image else load_image(embedded_scenes(12).samples[0])
    found = run_checks(checkpoint, picture, question)
    if as_json:
        print_json({"model": model, "device": checkpoint.device, "checks": found})
    else:
        Console().print(_table(found))
    if any(one.passed is False for one in found):
        raise typer.Exit(1)


def _table(found: Sequence[Check]) -> Table:
    words = {True: "[green]passed[/]", False: "[bold red]failed[/]", None: "can't be asked"}
    table = Table("check", "result", "detail", show_lines=True)
    for one in found:
        table.add_row(one.name, words[one.passed], Text(one.detail))
    return table
