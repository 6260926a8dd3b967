"""`retinoscope serve`: the explorer in a browser."""

from __future__ import annotations

import webbrowser
from importlib.util import find_spec
from threading import Timer
from typing import Annotated

import typer
from rich.console import Console

from retinoscope.cli.options import Device, DeviceMap, Dtype, Model, Revision, model_options
from retinoscope.cli.progress import Bars
from retinoscope.errors import RunError


def serve(
    model: Model = "embedded",
    data: Annotated[
        str, typer.Option(help="Examples: `embedded:COUNT`, `coco:PATH` or `folder:PATH`.")
    ] = "embedded:12",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any free one.")] = 8410,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 40,
    mean_images: Annotated[
        str | None,
        typer.Option(
            help="Data whose images give the mean visual token (as --data); computed once, then "
            "cached. The embedded model has its own."
        ),
    ] = None,
    mean_count: Annotated[int, typer.Option(min=1, help="Most images of the mean.")] = 400,
    revision: Revision = None,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open a browser window.")
    ] = True,
) -> None:
    """Explore a model live: ablate patches, knock them out, patch or steer, watch the answer move.

    Listens on this machine only, unless `--host` says otherwise; there is no password.
    """
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise RunError(
            f"The explorer needs {' and '.join(missing)}, which are not installed; "
            "`pip install 'retinoscope[app]'` brings them."
        )
    console = Console()
    console.print(f"Loading {model} ...", markup=False, highlight=False)
    # Imported here so that --help answers at once: torch and transformers take seconds.
    from retinoscope.app.listening import address, bound, server
    from retinoscope.app.session import open_session

    options = model_options(revision, dtype, device, device_map)
    if mean_images is not None:
        options |= {"mean_images": mean_images, "mean_count": mean_count}
    with bound(host, port) as socket:
        url = address(socket)
        with Bars(Console(stderr=True)) as bars:
            session = open_session(
                model, data=data, max_new_tokens=max_new_tokens, options=options, progress=bars
            )
        console.print(f"Retinoscope is at {url}  (Ctrl-C stops it)", soft_wrap=True, markup=False)
        if open_browser:
            Timer(0.5, webbrowser.open, [url]).start()
        server(session, socket).run(sockets=[socket])
