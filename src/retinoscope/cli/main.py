"""`retinoscope`: the commands, and how errors and interruptions are reported."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console

from retinoscope.cli.check import check
from retinoscope.cli.compare import compare
from retinoscope.cli.cost import cost
from retinoscope.cli.interruption import Interruptible
from retinoscope.cli.lens import lens
from retinoscope.cli.lens_fit import fit
from retinoscope.cli.look import look
from retinoscope.cli.mean import mean
from retinoscope.cli.models import models
from retinoscope.cli.report import report
from retinoscope.cli.reproduce import reproduce
from retinoscope.cli.scenes import scenes
from retinoscope.cli.score import score
from retinoscope.cli.serve import serve
from retinoscope.errors import RetinoscopeError

ABOUT = (
    "Look inside the eye of a vision-language model: where it keeps what it sees, and how that "
    "reaches its answer."
)


class ImagesOrFit(typer.core.TyperGroup):
    """`lens fit ...`, or `lens IMAGES...`: what is no command is an image or an option of those."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command that takes images in front, where none is named."""
        return super().parse_args(ctx, args if args[:1] == ["fit"] else ["pages", *args])


lenses = typer.Typer(cls=ImagesOrFit, help=lens.__doc__)
lenses.command("pages", hidden=True)(lens)
lenses.command("fit")(fit)

commands = typer.Typer(
    name="retinoscope",
    cls=Interruptible,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"retinoscope {version('retinoscope')}")
        raise typer.Exit
    return wanted


@commands.callback(help=ABOUT)
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """What can be asked without a command."""


commands.command()(reproduce)
commands.command()(cost)
commands.command()(report)
commands.command()(compare)
commands.command()(look)
commands.add_typer(lenses, name="lens")
commands.command()(mean)
commands.command()(score)
commands.command()(serve)
commands.command()(models)
commands.command()(check)
commands.add_typer(scenes, name="scenes")


def app() -> None:
    """Run the command line; a known error ends it with one clear message and status 2.

    SIGTERM, which batch systems send, ends it as Ctrl-C does: what was measured is kept.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=True)
    try:
        commands()
    except RetinoscopeError as error:
        console.print(f"[bold red]{type(error).__name__}[/]", end=": ")
        console.print(str(error), markup=False, highlight=False)
        sys.exit(2)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
