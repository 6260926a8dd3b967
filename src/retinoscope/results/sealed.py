"""Sealed files: whose a file is and whether it is whole, told by its last line.

Behind its content a sealed file has one line of JSON: the key of the run that wrote it, its name
there, and a SHA-256 over the content and both. It is checked before anything else is read, so that
no parser meets a damaged file, and a file that was moved to another name or folder is noticed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from retinoscope.errors import DamagedError, RunError
from retinoscope.results.atomic import replacing


def write_sealed(path: Path, content: bytes, run: str, name: str) -> None:
    """Write a sealed file, whole or not at all.

    Args:
        path: the file.
        content: what it holds.
        run: the run's key.
        name: what it is in the run folder, such as "lens/139".

    Raises:
        RunError: it can't be written.
    """
    with replacing(path) as stream:
        stream.write(sealed(content, run, name))


def sealed(content: bytes, run: str, name: str) -> bytes:
    """Content with its seal.

    Args:
        content: what is kept.
        run: the run's key.
        name: what it is in the run folder, such as "lens/139".
    """
    return content + b"\n" + _seal(content, run, name)


def read_sealed(path: Path, run: str, name: str) -> bytes:
    """The content of a sealed file.

    Args:
        path: the file.
        run: the key of the run that it must be of.
        name: what it must be in the run folder.

    Raises:
        DamagedError: a byte of it is not as it was written, or it stands under another name.
        RunError: it can't be read, or is whole and of another run.
    """
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} can't be read ({error.strerror or error}).") from error
    return unsealed(stored, str(path), run, name)


def unsealed(stored: bytes, place: str, run: str, name: str) -> bytes:
    """The content of what `sealed` made.

    Args:
        stored: content and seal.
        place: where it was found, for errors.
        run: the key of the run that it must be of.
        name: what it must be in the run folder.

    Raises:
        DamagedError: a byte of it is not as it was, or it stands under another name.
        RunError: it is whole and of another run.
    """
    content, _, seal = stored.rpartition(b"\n")
    owner = _owner(seal)
    if owner is None or seal != _seal(content, owner, name):
        raise DamagedError(
            f"{place} is damaged or cut off, or not the file {name!r} of a run. Delete it and give "
            "the run's command again with the same --out: what it held is measured again."
        )
    if owner != run:
        raise RunError(
            f"{place} is of another run (its key is {owner}, this run's is {run}). Give another "
            "folder with --out, or the same options as that run had."
        )
    return content


def _seal(content: bytes, run: str, name: str) -> bytes:
    signed = json.dumps({"run": run, "name": name}).encode()
    digest = hashlib.sha256(signed + b"\n" + content).hexdigest()
    return json.dumps({"run": run, "name": name, "sha256": digest}).encode()


def _owner(seal: bytes) -> str | None:
    """The run's key in a seal; None where there is none."""
    try:
        owner = json.loads(seal)["run"]
    except (ValueError, TypeError, KeyError):
        return None
    return owner if isinstance(owner, str) else None
