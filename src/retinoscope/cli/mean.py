"""`retinoscope mean`: the mean visual token of a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from retinoscope.cli.interruption import resumable
from retinoscope.cli.options import AsJson, Device, DeviceMap, Dtype, Model, Revision, model_options
from retinoscope.cli.printing import print_json
from retinoscope.cli.progress import Bars


def mean(
    images: Annotated[
        str, typer.Argument(help="A folder of images, or data as `reproduce --data` takes it.")
    ],
    model: Model = "embedded",
    out: Annotated[
        Path, typer.Option(help="The file to write, for `reproduce --mean-file`.")
    ] = Path("mean.safetensors"),
    count: Annotated[
        int | None, typer.Option(min=1, help="At most so many images, drawn at random.")
    ] = None,
    per_position: Annotated[
        bool, typer.Option("--per-position", help="A mean of each position of the grid.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="The split, where there are several.")] = None,
    revision: Revision = None,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    as_json: AsJson = False,
) -> None:
    """Measure the mean visual token of many images, with its standard error.

    Ctrl-C keeps what was summed; the same command resumes. What was measured once for
    a model and a folder is not measured again.
    """
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.data import open_images
    from retinoscope.models import load, write_mean
    from retinoscope.runs.mean import measured_mean

    console = Console()
    dataset = open_images(images, split=split)
    checkpoint = load(model, **model_options(revision, dtype, device, device_map))
    with resumable(), Bars(Console(stderr=True)) as bars:
        found = measured_mean(checkpoint, dataset, count, bars, per_position=per_position)
    write_mean(found, out)
    norm = float(found.value.norm(dim=-1).mean())
    error = float(found.standard_error.norm(dim=-1).mean())
    if as_json:
        shape, skipped = list(found.value.shape), found.skipped
        numbers = {"images": found.images, "visual_tokens": found.tokens, "shape": shape}
        numbers |= {"norm": norm, "norm_of_standard_error": error, "left_out": skipped}
        print_json({"file": out, **numbers})
        return
    table = Table("", "", show_header=False)
    table.add_row("images", f"{found.images:,}")
    table.add_row("left out", f"{len(found.skipped):,}")
    table.add_row("visual tokens", f"{found.tokens:,}")
    table.add_row("shape", " x ".join(map(str, found.value.shape)))
    table.add_row("norm", f"{norm:.4g}")
    table.add_row("norm of its standard error", f"{error:.2g}")
    console.print(table)
    for reason in found.skipped[:5]:
        console.print(f"Left out: {reason}", markup=False, highlight=False)
    console.print(f"{out}", soft_wrap=True, markup=False, highlight=False)
