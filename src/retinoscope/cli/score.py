"""`retinoscope score`: how often a model says what is not there, POPE and CHAIR."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retinoscope.cli.options import (
    AsJson,
    Device,
    DeviceMap,
    Dtype,
    MeanFile,
    Model,
    Revision,
    model_options,
)
from retinoscope.cli.printing import print_json
from retinoscope.cli.progress import Bars
from retinoscope.report.wording import DASH, interval, percent

if TYPE_CHECKING:
    from retinoscope.scoring import Scored


class Task(StrEnum):
    """What is scored."""

    pope = "pope"
    chair = "chair"


class Absent(StrEnum):
    """How things that are not there are chosen."""

    random = "random"
    popular = "popular"
    adversarial = "adversarial"


def score(
    task: Annotated[
        Task,
        typer.Option(
            help="`pope`: is there a dog in this image? (things that are there, and that are not); "
            "`chair`: what a description names that is not there."
        ),
    ] = Task.pope,
    data: Annotated[
        str,
        typer.Option(help="`embedded:COUNT`, `coco:PATH`, `pope:PATH`, ... (docs/data.md)."),
    ] = "embedded",
    model: Model = "embedded",
    under: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="EXPRESSION",
            help="An intervention to score under and to compare with the clean run: "
            "`Ablate(background)`, `Knockout(last, objects, range(3, 8))`, "
            "`Ablate(tokens.row(-1), 'zero')`. Again for more.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most images, drawn at random.")] = 100,
    absent: Annotated[
        Absent,
        typer.Option(
            help="POPE's absent things: any, the data's most frequent, or those that "
            "most often stand beside what is there."
        ),
    ] = Absent.random,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a description.")] = 64,
    mean_images: Annotated[
        str | None, typer.Option(help="Data whose images give the mean visual token.")
    ] = None,
    mean_file: MeanFile = None,
    split: Annotated[str | None, typer.Option(help="The split, where there are several.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the images and of absent things.")] = 0,
    revision: Revision = None,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    as_json: AsJson = False,
) -> None:
    """Score hallucination: POPE and CHAIR, with and without interventions, with 95 % intervals.

    An expression names token sets of each image: `tokens` (all visual ones), `objects` (under an
    annotation), `background`, `last` (the last position), `text`; `|`, `&`, `-`, `~`,
    `.dilate(1)`, `.row(-1)`, `.box(...)`, `.word("dog")`, `.draw(20, 0)` combine them; `layers` is
    all of them. It is read by this grammar alone and never run as Python.
    """
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.api import VLM
    from retinoscope.data import open_data
    from retinoscope.models import load
    from retinoscope.runs import Scenes
    from retinoscope.runs.mean import with_known_mean
    from retinoscope.scoring import parse
    from retinoscope.scoring import score as measure

    conditions = [parse(one) for one in under or ()]
    with Bars(Console(stderr=True)) as bars:
        dataset = open_data(data, split=split, composing=Scenes(bars))
        checkpoint = load(model, **model_options(revision, dtype, device, device_map))
        checkpoint = with_known_mean(checkpoint, mean_images, mean_file, bars)
        found = measure(
            VLM(checkpoint),
            dataset,
            task.value,
            conditions,
            limit=limit,
            absent=absent.value,
            max_new_tokens=max_new_tokens,
            seed=seed,
            progress=bars,
        )
    if as_json:
        told = {"task": found.task, "data": found.data, "images": found.images}
        tables = {"metrics": found.metrics.to_dicts(), "paired": found.paired.to_dicts()}
        print_json({**told, **tables, "skipped": found.skipped})
        return
    _print(found, data)


def _print(found: Scored, data: str) -> None:
    console = Console(highlight=False)
    console.print(f"{found.task.upper()} over {found.images} images of {data}", markup=False)
    table = Table("condition", "metric", "value", "95 %", "n")
    last = None
    for condition, metric, value, low, high, n in found.metrics.iter_rows():
        shown = Text(condition if condition != last else "")
        table.add_row(shown, metric, percent(value), interval(low, high) or DASH, str(n))
        last = condition
    console.print(table)
    for condition, change, lost, gained, n, p in found.paired.iter_rows():
        console.print(
            f"{condition} against clean: of {n}, {lost} became wrong and {gained} right "
            f"({100 * change:+.1f} points; McNemar p = {p:.2g})",
            markup=False,
        )
    if found.skipped:
        console.print(f"{len(found.skipped)} images left out; {found.skipped[0]}", markup=False)
