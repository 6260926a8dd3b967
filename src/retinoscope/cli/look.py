"""`retinoscope look`: what the experiments find of one object of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from retinoscope.cli.options import AsJson, Device, DeviceMap, Dtype, Revision, model_options
from retinoscope.cli.printing import print_json
from retinoscope.cli.progress import Bars
from retinoscope.errors import DataError
from retinoscope.results.records import SkippedRecord


def look(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    name: Annotated[str, typer.Option(help="What the object is, such as `dog`.")],
    box: Annotated[
        str | None, typer.Option(help="The object's box in pixels: x,y,width,height.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="A mask image: the object is what is not black.")
    ] = None,
    question: Annotated[
        str, typer.Option(help="A question whose answer is the object, if any.")
    ] = "",
    words: Annotated[
        str,
        typer.Option(
            help="Words of the clean answer to be explained, comma-separated; default the name."
        ),
    ] = "",
    model: Annotated[
        str, typer.Option(help="`embedded`, a folder in Hugging Face format, or a hub name.")
    ] = "embedded",
    mean_images: Annotated[
        str | None, typer.Option(help="A folder of images for the mean visual token.")
    ] = None,
    mean_file: Annotated[
        Path | None, typer.Option(help="The mean visual token: .safetensors, .npy or .pt.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random tokens.")] = 0,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most tokens of a description; default 30 of the embedded model, else 200."
        ),
    ] = None,
    revision: Revision = None,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    as_json: AsJson = False,
) -> None:
    """Look at one object of one image, given by a box or a mask.

    Prints what the model answers with the object's tokens replaced and with as many others,
    with attention to them knocked out in windows of layers, and what the object's patches decode
    to.
    The clean answer follows word by word, with and without the object, and what made its name (or
    `--words`): attribution, attention, heads.
    Tokens are replaced by the mean visual token where it is known (the embedded model, or
    `--mean-images`, or `--mean-file`), else by zero.
    """
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.cli.look_words import answer_words
    from retinoscope.cli.notes import unlike_scenes
    from retinoscope.data import single_image
    from retinoscope.data.boxes import read_box
    from retinoscope.experiments import Settings, experiments, read_target, settings_for
    from retinoscope.experiments.bench import Bench
    from retinoscope.models import load
    from retinoscope.models.vision import shared_vision
    from retinoscope.runs.mean import with_known_mean
    from retinoscope.tasks import check_spelled

    if (box is None) == (mask is None):
        raise DataError(f"{image}: give the object by either --box or --mask.")
    (sample,) = single_image(image, read_box(box) if box else None, mask, name).samples
    target = read_target(sample, sample.annotations[0], (), Settings(seed=seed))
    target = replace(target, question=question)
    console = Console(stderr=as_json)
    checkpoint = load(model, **model_options(revision, dtype, device, device_map))
    check_spelled(checkpoint.tokenizer, name)
    _note(console, unlike_scenes(model, target.image))
    with Bars(Console(stderr=True)) as bars:
        checkpoint = with_known_mean(checkpoint, mean_images, mean_file, bars)
    value = "zero" if checkpoint.mean is None else "mean"
    suited = settings_for(model)
    settings = replace(
        suited,
        buffers=(0, 1),
        values=(value,),
        max_new_tokens=max_new_tokens or suited.max_new_tokens,
        seed=seed,
    )
    shown = [one for one in experiments().values() if one.one_object]
    measured: dict[str, Sequence[Any]] = {}
    skips: list[SkippedRecord] = []
    with shared_vision(checkpoint):
        for one in shown:
            own = one.settings.suited(model, settings.protocol)
            found = one.showing()(Bench(checkpoint, (), (), settings, own), target)
            measured[one.name] = found.records
            # Nothing is asked where no question was given; that needs no line of its own.
            skips += [skip for skip in found.skipped if skip.condition != "ask"]
            _tell(console, () if as_json else found.tables, found.note)
    spoken = answer_words(checkpoint, target, settings, words)
    if as_json:
        told = {"image": image, "name": name, "replaced_by": value, "words": spoken}
        print_json({**told, **measured, "not_measured": skips})
        return
    _tell(console, spoken.tables(name, value), spoken.note)
    for skip in skips:
        console.print(f"Not measured: {skip.condition}: {skip.reason}", style="dim", markup=False)


def _tell(console: Console, tables: Sequence[Table], note: str) -> None:
    for table in tables:
        console.print(table)
    _note(console, note)


def _note(console: Console, text: str) -> None:
    if text:
        console.print(text, style="yellow", markup=False, highlight=False)
