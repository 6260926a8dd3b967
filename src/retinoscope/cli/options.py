"""Options that several commands share, so that they are everywhere alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Model = Annotated[
    str, typer.Option(help="`embedded`, a folder in Hugging Face format, or a hub name.")
]
Revision = Annotated[
    str | None, typer.Option(help="The model's revision on the hub: a branch, tag or commit.")
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="float32, bfloat16 or float16; default the checkpoint's own, float32 for small models."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="`cuda`, `cuda:1`, `mps` or `cpu`; default the best there is: a GPU first."),
]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        help="Share the model out over devices, as in transformers: `auto`, ...; needs accelerate."
    ),
]
MeanFile = Annotated[
    Path | None,
    typer.Option(help="The mean visual token itself: .safetensors, .npy, or the paper's .pt."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


def model_options(
    revision: str | None, dtype: str | None, device: str | None, device_map: str | None
) -> dict[str, Any]:
    """What was given of these options, as `retinoscope.load` takes it."""
    options = {"revision": revision, "dtype": dtype, "device": device, "device_map": device_map}
    return {name: value for name, value in options.items() if value is not None}
