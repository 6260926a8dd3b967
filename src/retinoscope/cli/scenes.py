"""`retinoscope scenes`: the embedded data as a COCO folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from retinoscope.cli.progress import Bars

scenes = typer.Typer(help="The embedded scenes.", no_args_is_help=True)


class Sprites(StrEnum):
    """Which renditions scenes are composed of."""

    train = "train"
    heldout = "heldout"


@scenes.callback()
def embedded() -> None:
    """The embedded scenes."""


@scenes.command()
def write(
    directory: Annotated[Path, typer.Argument(help="The folder to write.")],
    count: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Of their composition.")] = 0,
    sprites: Annotated[
        Sprites, typer.Option(help="The set the model was trained on, or the one held out.")
    ] = Sprites.train,
    layout: Annotated[
        str | None,
        typer.Option(
            help="Arranged scenes of one kind, with questions in steps: scatter, overlap, rows, "
            "groups, congruent or twins."
        ),
    ] = None,
) -> None:
    """Write embedded scenes as a COCO folder: images, instances, captions and questions."""
    # Imported here so that --help answers at once.
    from retinoscope.data.scenes.write import write_arranged, write_scenes

    with Bars(Console(stderr=True)) as bars:
        bars.stage("composing scenes", count)
        if layout is None:
            write_scenes(directory, count, seed, sprites.value, bars.step)
        else:
            write_arranged(directory, layout, count, seed, sprites.value, bars.step)
    Console().print(f"{count} scenes in {directory}", soft_wrap=True, markup=False)
