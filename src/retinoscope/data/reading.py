"""Read a file that may be anything: whole JSON, or what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from retinoscope.errors import DataError

LARGEST_ID = 2**63 - 1
"""Largest id of an image or object: tables hold ids as 64-bit whole numbers."""


def read_json(path: Path) -> Any:
    """A whole JSON file.

    Raises:
        DataError: it can't be read, is broken, or nests values too deep.
    """
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) or "\0" in str(path):
            raise DataError(f"{path}: can't be read ({error}). Check the path.") from error
        raise DataError(f"{path}: not a whole JSON file ({error}). Fetch it again.") from error


def parse_json(content: bytes | str) -> Any:
    """JSON as values.

    Raises:
        ValueError: it is broken, or nests values deeper than Python can follow.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("values are nested too deep") from error


def is_odd(path: Path) -> bool:
    """Whether there is something of that name that is no file: a folder, a pipe, a device."""
    try:
        return path.exists() and not path.is_file()
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have (NUL, too long) is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
