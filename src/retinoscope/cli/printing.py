"""Results as JSON on the standard output."""

from __future__ import annotations

from typing import Any

import msgspec
import typer


def print_json(value: Any) -> None:
    """Print dataclasses, collections, numbers and paths as indented JSON; NaN becomes null."""
    text = msgspec.json.encode(value, enc_hook=_plain)
    typer.echo(msgspec.json.format(text, indent=2).decode())


def _plain(value: Any) -> Any:
    """What msgspec does not know: NumPy's numbers and arrays, and what only has a name."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
