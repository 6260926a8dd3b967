"""`SHA256SUMS` of a folder: whose its files are, and the checksum of each.

In the form of `sha256sum`, so that `sha256sum -c SHA256SUMS` checks them too; the run's key stands
in a comment. Tables that others read keep their plain format, so their checksums lie beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from retinoscope.errors import DamagedError, RunError
from retinoscope.results.atomic import replacing

NAME = "SHA256SUMS"

_OWNER = "# retinoscope run "


@dataclass(frozen=True)
class Checksums:
    """The files of one folder of one run.

    Attributes:
        run: the run's key.
        files: file name -> SHA-256 in hexadecimal.
    """

    run: str
    files: Mapping[str, str]


def digest(stream: IO[bytes]) -> str:
    """SHA-256 in hexadecimal of a whole file that is open, read piece by piece."""
    stream.flush()
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]


def write_checksums(folder: Path, sums: Checksums) -> None:
    """Write a folder's `SHA256SUMS`, whole or not at all.

    Raises:
        RunError: it can't be written.
    """
    with replacing(folder / NAME) as stream:
        stream.write(_text(sums).encode())


def read_checksums(folder: Path, run: str) -> Checksums:
    """Read a folder's `SHA256SUMS`; where there is none, no file is known.

    Args:
        folder: the folder.
        run: the key of the run that it must be of.

    Raises:
        DamagedError: it is not in the form in which it is written.
        RunError: it can't be read, or is of another run.
    """
    path = folder / NAME
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return Checksums(run, {})
    except UnicodeError:
        text = ""
    except OSError as error:
        raise RunError(f"{path} can't be read ({error.strerror or error}).") from error
    owner, *lines = text.splitlines() or [""]
    files = {name: found for found, _, name in (line.partition("  ") for line in lines)}
    sums = Checksums(owner.removeprefix(_OWNER), files)
    if text != _text(sums):
        raise DamagedError(f"{path} is damaged. {_AGAIN}")
    if sums.run != run:
        raise RunError(
            f"{folder} holds tables of another run (its key is {sums.run}, this run's is {run}). "
            "Give another folder with --out, or the same options as that run had."
        )
    return sums


def verify(path: Path, sums: Checksums) -> str:
    """Make sure that a file's checksum is right.

    Returns:
        The checksum.

    Raises:
        DamagedError: the file is gone, or not as it was written, or has no checksum.
        RunError: it can't be read.
    """
    try:
        with path.open("rb") as stream:
            found = digest(stream)
    except FileNotFoundError as error:
        raise DamagedError(f"{path} is gone. {_AGAIN}") from error
    except OSError as error:
        raise RunError(f"{path} can't be read ({error.strerror or error}).") from error
    if path.name not in sums.files:
        raise DamagedError(
            f"{path} is not in the {NAME} beside it, so that nobody knows which run it is of. "
            f"{_AGAIN}"
        )
    if found != sums.files[path.name]:
        raise DamagedError(
            f"{path} is damaged or was changed: its checksum is not the one in {NAME}. {_AGAIN}"
        )
    return found


_AGAIN = (
    "Copy the folder again from where it is whole, or delete its records/*.parquet and "
    "records/SHA256SUMS and give the run's command again with the same --out: what is missing is "
    "measured again."
)


def _text(sums: Checksums) -> str:
    lines = [f"{found}  {name}" for name, found in sums.files.items()]
    return "\n".join([f"{_OWNER}{sums.run}", *lines, ""])
