"""`retinoscope lens fit`: fit a lens on the images of some data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from retinoscope.cli.interruption import resumable
from retinoscope.cli.options import AsJson, Device, DeviceMap, Dtype, Model, Revision, model_options
from retinoscope.cli.printing import print_json
from retinoscope.cli.progress import Bars


def fit(
    kind: Annotated[
        str,
        typer.Argument(
            help="tuned-visual, tuned-text, latent, jacobian, probe or probe-shuffled (control)."
        ),
    ],
    model: Model = "embedded",
    data: Annotated[str, typer.Option(help="Data, as `reproduce --data` takes it.")] = "embedded",
    count: Annotated[int, typer.Option(min=1, help="Images, drawn at random.")] = 100,
    out: Annotated[
        Path | None, typer.Option(help="Also write the lens here; else it is in the cache alone.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="The split, where there are several.")] = None,
    revision: Revision = None,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    as_json: AsJson = False,
) -> None:
    """Fit a lens on the images of some data, for `retinoscope lens --lens KIND`.

    Ctrl-C keeps what was fitted; the same command resumes. What was fitted once for a
    model and images is not fitted again.
    """
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.data import open_data
    from retinoscope.lens import read_fitted, write_fitted
    from retinoscope.models import load
    from retinoscope.runs import Scenes
    from retinoscope.runs.lens_fit import fit_lens

    checkpoint = load(model, **model_options(revision, dtype, device, device_map))
    with resumable(), Bars(Console(stderr=True)) as bars:
        wanted = "tuned-visual" if kind == "tuned" else kind
        dataset = open_data(data, split=split, composing=Scenes(bars))
        path = fit_lens(wanted, checkpoint, dataset, count, bars)
    fitted = read_fitted(path)
    if out is not None:
        write_fitted(fitted, out)
    shapes = {name: list(tensor.shape) for name, tensor in fitted.tensors.items()}
    if as_json:
        print_json({"file": out or path, "kind": fitted.kind, "shapes": shapes, **fitted.settings})
        return
    Console().print(f"{out or path}", soft_wrap=True, highlight=False)
