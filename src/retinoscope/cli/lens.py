"""`retinoscope lens`: interactive logit-lens pages of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def lens(
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    model: Annotated[str, typer.Option(help="`embedded`, a folder or a hub name.")] = "embedded",
    question: Annotated[str, typer.Option(help="What to ask.")] = "Describe this image.",
    words: Annotated[
        str, typer.Option(help="Words to follow exactly through the layers, by commas.")
    ] = "",
    out: Annotated[Path, typer.Option(help="Where to put the pages.")] = Path("lens"),
    length: Annotated[int, typer.Option(min=1, help="Most tokens of the answer.")] = 40,
) -> None:
    """Show what every patch of an image decodes to at every layer, as a page to look at."""
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.data import open_image
    from retinoscope.engine import generate, look
    from retinoscope.experiments.lens import read_sheet
    from retinoscope.models import load
    from retinoscope.report.render import write_lens_pages
    from retinoscope.results.sheet import LensSheet

    checkpoint = load(model)
    tracked = [word.strip() for word in words.split(",") if word.strip()]
    sheets: dict[str, LensSheet] = {}
    for path in images:
        picture = open_image(path)
        recording = look(checkpoint, picture, question, room=length)
        tokens = generate(recording, [()])[0].tokens
        answer = checkpoint.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        sheets[path.stem] = read_sheet(recording, path.name, answer, picture, tracked, [])
    index = write_lens_pages(sheets, out, title="Logit lens")
    for stem in sheets:
        Console().print(f"{out / stem}.html", soft_wrap=True, highlight=False)
    Console().print(f"{index}", soft_wrap=True, highlight=False)
