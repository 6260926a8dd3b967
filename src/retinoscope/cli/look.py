"""`retinoscope look`: what the experiments find of one object of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from retinoscope.cli.explain import print_explanation
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
from retinoscope.errors import DataError
from retinoscope.results.records import SkippedRecord

if TYPE_CHECKING:
    from retinoscope.experiments import Target
    from retinoscope.models import Checkpoint


def look(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    name: Annotated[str, typer.Option(help="What the object is, such as `dog`.")],
    box: Annotated[
        str | None, typer.Option(help="The object's box in pixels: x,y,width,height.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="A mask image: the object is what is not black.")
    ] = None,
    beside: Annotated[
        str | None,
        typer.Option(
            help="Without a place: an object that is in the image, to compare with; default one "
            "that the model names by itself."
        ),
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
    model: Model = "embedded",
    mean_images: Annotated[
        str | None, typer.Option(help="A folder of images for the mean visual token.")
    ] = None,
    mean_file: MeanFile = None,
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
    """Look at one object of one image.

    With a box or a mask: what the model answers with the object's tokens replaced and with as many
    others, with the attention to them knocked out in windows of layers, and what its patches say.

    Without: why the model says yes or no when it is asked for the object, which may not be there:
    the regions and layers that the answer rests on, what removing them does, and how it differs
    from an object that is there. Findings are ranked, each with the line of Python that repeats it.

    Tokens are replaced by the mean visual token where it is known (the embedded model, or
    `--mean-images`, or `--mean-file`), else by zero.
    """
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.cli.notes import check_name, unlike_scenes
    from retinoscope.data import open_image, single_image
    from retinoscope.data.boxes import read_box
    from retinoscope.experiments import Settings, read_target
    from retinoscope.models import load
    from retinoscope.runs.mean import with_known_mean

    somewhere = box is not None or mask is not None
    if question and not somewhere:
        raise DataError("--question is asked of an object whose place is given: --box or --mask.")
    if beside and somewhere:
        raise DataError("--beside compares an object without a place: leave out --box and --mask.")
    console = Console(stderr=as_json)
    # What is wrong with the image or the place is told before the model is loaded.
    picture, target = open_image(image), None
    if somewhere:
        (sample,) = single_image(image, read_box(box) if box else None, mask, name).samples
        target = read_target(sample, sample.annotations[0], (), Settings(seed=seed))
        target = replace(target, question=question)
    with Bars(Console(stderr=True)) as bars:
        checkpoint = load(model, **model_options(revision, dtype, device, device_map))
        check_name(model, checkpoint.tokenizer, name)
        _note(console, unlike_scenes(model, picture))
        checkpoint = with_known_mean(checkpoint, mean_images, mean_file, bars)
    if target is not None:
        _one_object(checkpoint, target, image, _Asked(model, seed, max_new_tokens, words, as_json))
    else:
        from retinoscope.api import VLM, explain_poll

        found = explain_poll(VLM(checkpoint), image, name, present=beside)
        print_explanation(found, image, as_json=as_json)


@dataclass(frozen=True)
class _Asked:
    model: str
    seed: int
    max_new_tokens: int | None
    words: str
    as_json: bool


def _one_object(checkpoint: Checkpoint, target: Target, image: Path, asked: _Asked) -> None:
    """Print what every experiment that can show one object finds of it."""
    from retinoscope.cli.look_words import answer_words
    from retinoscope.experiments import experiments, settings_for
    from retinoscope.experiments.bench import Bench
    from retinoscope.models.vision import shared_vision

    console = Console(stderr=asked.as_json)
    value = "zero" if checkpoint.mean is None else "mean"
    suited = settings_for(asked.model)
    settings = replace(
        suited,
        buffers=(0, 1),
        values=(value,),
        max_new_tokens=asked.max_new_tokens or suited.max_new_tokens,
        seed=asked.seed,
    )
    shown = [one for one in experiments().values() if one.one_object]
    measured: dict[str, Sequence[Any]] = {}
    skips: list[SkippedRecord] = []
    with shared_vision(checkpoint):
        for one in shown:
            own = one.settings.suited(asked.model, settings.protocol)
            found = one.showing()(Bench(checkpoint, (), (), settings, own), target)
            measured[one.name] = found.records
            # Nothing is asked where no question was given; that needs no line of its own.
            skips += [skip for skip in found.skipped if skip.condition != "ask"]
            _tell(console, () if asked.as_json else found.tables, found.note)
    spoken = answer_words(checkpoint, target, settings, asked.words)
    if asked.as_json:
        told = {"image": image, "name": target.class_name, "replaced_by": value, "words": spoken}
        print_json({**told, **measured, "not_measured": skips})
        return
    _tell(console, spoken.tables(target.class_name, value), spoken.note)
    for skip in skips:
        console.print(f"Not measured: {skip.condition}: {skip.reason}", style="dim", markup=False)


def _tell(console: Console, tables: Sequence[Table], note: str) -> None:
    for table in tables:
        console.print(table)
    _note(console, note)


def _note(console: Console, text: str) -> None:
    if text:
        console.print(text, style="yellow", markup=False, highlight=False)
