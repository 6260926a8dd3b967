"""`retinoscope lens`: interactive logit-lens pages of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from retinoscope.cli.options import AsJson, Device, DeviceMap, Dtype, Model, Revision, model_options
from retinoscope.cli.printing import print_json
from retinoscope.cli.progress import Bars
from retinoscope.errors import DataError, SampleError

if TYPE_CHECKING:
    from retinoscope.api import VLM, View
    from retinoscope.interventions import Ablate
    from retinoscope.tokens import TokenSet

VALUES = ("mean", "zero", "noise")


def lens(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    model: Model = "embedded",
    question: Annotated[str, typer.Option(help="What to ask.")] = "Describe this image.",
    words: Annotated[
        str, typer.Option(help="Words to follow exactly through the layers, by commas.")
    ] = "",
    ablate: Annotated[
        list[str] | None,
        typer.Option(
            help="Replace the tokens here and compare with the clean run: a box in pixels, "
            "x,y,width,height, or a mask image (what is not black). Again for more."
        ),
    ] = None,
    grow: Annotated[int, typer.Option(min=0, help="Replace so many tokens around as well.")] = 1,
    value: Annotated[
        str, typer.Option(help="What stands in their place: mean, zero or noise.")
    ] = "mean",
    mean_images: Annotated[
        str | None, typer.Option(help="Data whose images give the mean: `folder:PATH`, ...")
    ] = None,
    text: Annotated[
        bool,
        typer.Option("--text", help="Also write what the prompt's words decode to, as a CSV file."),
    ] = False,
    by: Annotated[
        str,
        typer.Option(
            "--lens", help="What reads the states: logit, tuned, ... or a file of `lens fit`."
        ),
    ] = "logit",
    out: Annotated[Path, typer.Option(help="Where to put the pages.")] = Path("lens"),
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of the answer.")] = 40,
    revision: Revision = None,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    as_json: AsJson = False,
) -> None:
    """Show what every patch of an image decodes to at every layer, as a page to look at.

    With `--ablate`, a second page for each image sets the clean run and the one without those
    tokens side by side, and their difference. `retinoscope lens fit` fits other lenses.
    """
    _check(value, out)
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.api import VLM, load
    from retinoscope.cli.notes import unlike_scenes
    from retinoscope.experiments.lens.sheets import read_sheet
    from retinoscope.experiments.montage import montage
    from retinoscope.experiments.outline import selected
    from retinoscope.models import load as load_checkpoint
    from retinoscope.report.render import write_lens_pages
    from retinoscope.results.sheet import LensSheet
    from retinoscope.runs.lens_fit import found_lens

    console = Console(stderr=as_json)
    options = model_options(revision, dtype, device, device_map)
    with Bars(Console(stderr=True)) as bars:
        if ablate and value == "mean":
            vlm = load(model, mean_images=mean_images, progress=bars, **options)
        else:
            vlm = VLM(load_checkpoint(model, **options))
    fitted = None if by == "logit" else found_lens(by, vlm.checkpoint)
    tracked = [word.strip() for word in words.split(",") if word.strip()]
    sheets: dict[str, LensSheet] = {}
    made: list[dict[str, Any]] = []
    seen, left_out = _seen(vlm, images, question, max_new_tokens)
    for stem, (path, view) in seen.items():
        if note := unlike_scenes(model, view.image):
            console.print(f"{path.name}: {note}", style="yellow", markup=False, highlight=False)
        tokens = _under(view, ablate).dilate(grow) if ablate else None
        shown = montage(view.recording.layout, view.prompt)
        marked = [selected(shown, tokens.layout, tokens, "what is replaced")] if tokens else []
        asked = (view.recording, path.name, shown, tracked, marked)
        lens = fitted and fitted.lens(view.recording)
        sheets[stem] = read_sheet(*asked, lens=lens)
        made.append({"image": path, "page": out / f"{stem}.html", "replaced": 0})
        if text:
            _write_text(view, out / f"{stem}-text.csv", console)
        if tokens:
            stand_in = "the mean token" if value == "mean" else value
            name = f"{len(tokens)} tokens replaced by {stand_in}"
            changed = (_ablation(tokens, value),)
            sheets[f"{stem}@ablated"] = read_sheet(*asked, changed, name, lens)
            page = out / f"{stem}@ablated.html"
            made.append({"image": path, "page": page, "replaced": len(tokens), "by": value})
    title = f"{fitted.kind.capitalize()} lens" if fitted else "Logit lens"
    index = write_lens_pages(sheets, out, title=title)
    if as_json:
        print_json({"index": index, "pages": made, "left_out": left_out})
        return
    lines = [f"Left out: {reason}" for reason in left_out] + [str(one["page"]) for one in made]
    for line in [*lines, str(index)]:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _check(value: str, out: Path) -> None:
    """Refuse what stands in no token's place, and a page's name where a folder is meant."""
    if value not in VALUES:
        raise DataError(f"--value {value!r}: expected one of {', '.join(VALUES)}.")
    if out.suffix.lower() in (".html", ".htm") and not out.is_dir():
        raise DataError(
            f"--out {out} is the name of a page; expected a folder, where each image gets a page "
            f"and index.html leads to them. Give --out {out.stem}."
        )


def _seen(
    vlm: VLM, images: list[Path], question: str, max_new_tokens: int
) -> tuple[dict[str, tuple[Path, View]], list[str]]:
    """Each image that can be read with its view, by the name of its page; and why others can't.

    Raises:
        SampleError: none can.
    """
    seen: dict[str, tuple[Path, View]] = {}
    left_out: list[str] = []
    for stem, path in _files(images).items():
        try:
            seen[stem] = path, vlm.look(path, question, max_new_tokens=max_new_tokens)
        except SampleError as error:
            left_out.append(str(error))
    if not seen:
        raise SampleError(" ".join(left_out))
    return seen, left_out


def _files(images: list[Path]) -> dict[str, Path]:
    """Every image by the name of its page: its own, with a number where another has the same."""
    from retinoscope.data import image_files

    named: dict[str, Path] = {}
    for path in [file for one in images for file in (image_files(one) if one.is_dir() else [one])]:
        name, number = path.stem, 1
        while name in named:
            number += 1
            name = f"{path.stem}-{number}"
        named[name] = path
    return named


def _write_text(view: View, path: Path, console: Console) -> None:
    import polars as pl

    from retinoscope.experiments.lens.text import read_text
    from retinoscope.report.tables.collect import write_table

    write_table(pl.DataFrame(read_text(view.recording)), path)
    console.print(f"{path}", soft_wrap=True, markup=False, highlight=False)


def _ablation(tokens: TokenSet, value: str) -> Ablate:
    from retinoscope.interventions import Ablate, Noise

    match value:
        case "noise":
            return Ablate(tokens, Noise(0))
        case "zero":
            return Ablate(tokens, "zero")
    return Ablate(tokens, "mean")


def _under(view: View, places: list[str]) -> TokenSet:
    """The visual tokens under every box and mask.

    Raises:
        DataError: a box is not four numbers, or a mask can't be read.
        SelectionError: no visual token lies there, or a mask has another size than the image.
    """
    found = None
    for place in places:
        if "," in place:
            x, y, width, height = _numbers(place)
            tokens = view.tokens.box(x, y, x + width, y + height)
        else:
            tokens = view.tokens.under(place)
        found = tokens if found is None else found | tokens
    assert found is not None  # only asked where there is a place
    return found


def _numbers(text: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        raise DataError(
            f"--ablate {text!r}: expected a box of four numbers in pixels, x,y,width,height, or "
            "the path of a mask image."
        ) from error
    return x, y, width, height
