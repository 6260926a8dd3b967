"""Parts: small sealed files, one for each unit of work, in a folder or at any fsspec address.

At an address (`s3://bucket/run`, `gs://...`) workers on machines that share no disk write the parts
of one run. There, too, a part is written whole or not at all: object stores have no half objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote, unquote

from retinoscope.errors import RunError
from retinoscope.results.atomic import replacing

ENDING = ".part"


@runtime_checkable
class Parts(Protocol):
    """Where parts are kept: by table, and by key within it."""

    def known(self, table: str) -> bool:
        """Whether anything was ever written of a table."""
        ...

    def keys(self, table: str) -> list[str]:
        """The keys of a table, sorted by the names of their files."""
        ...

    def place(self, table: str, key: str) -> str:
        """Where a part is, for messages."""
        ...

    def read(self, table: str, key: str) -> bytes:
        """A part as it was written.

        Raises:
            RunError: it can't be read.
        """
        ...

    def write(self, table: str, key: str, content: bytes) -> None:
        """Write a part, whole or not at all; the same key again replaces it.

        Raises:
            RunError: it can't be written.
        """
        ...

    def delete(self, table: str, key: str) -> None:
        """Delete a part.

        Raises:
            RunError: it can't be deleted.
        """
        ...


@dataclass(frozen=True)
class FolderParts:
    """Parts in a folder.

    Attributes:
        folder: holds a folder for each table.
    """

    folder: Path

    def known(self, table: str) -> bool:
        """As `Parts.known`."""
        return (self.folder / table).is_dir()

    def keys(self, table: str) -> list[str]:
        """As `Parts.keys`."""
        return [_key(path.name) for path in sorted((self.folder / table).glob(f"*{ENDING}"))]

    def place(self, table: str, key: str) -> str:
        """As `Parts.place`."""
        return str(self._path(table, key))

    def read(self, table: str, key: str) -> bytes:
        """As `Parts.read`."""
        with _told("read", self.place(table, key)):
            return self._path(table, key).read_bytes()

    def write(self, table: str, key: str, content: bytes) -> None:
        """As `Parts.write`."""
        with replacing(self._path(table, key)) as stream:
            stream.write(content)

    def delete(self, table: str, key: str) -> None:
        """As `Parts.delete`."""
        with _told("deleted", self.place(table, key)):
            self._path(table, key).unlink()

    def _path(self, table: str, key: str) -> Path:
        return self.folder / table / _name(key)


@dataclass(frozen=True)
class RemoteParts:
    """Parts at an fsspec address, whose file system (s3fs, gcsfs, ...) must be installed.

    Attributes:
        address: such as "s3://bucket/run"; credentials are the environment's.
    """

    address: str

    def known(self, table: str) -> bool:
        """As `Parts.known`."""
        return bool(self.keys(table))

    def keys(self, table: str) -> list[str]:
        """As `Parts.keys`."""
        with _told("listed", self.address):
            files, root = self._files()
            # Another process may have written since this one looked.
            files.invalidate_cache()
            try:
                found = files.ls(f"{root}/{table}", detail=False)
            except FileNotFoundError:
                return []
        names = (path.rpartition("/")[2] for path in found)
        return [_key(name) for name in sorted(names) if name.endswith(ENDING)]

    def place(self, table: str, key: str) -> str:
        """As `Parts.place`."""
        return f"{self.address}/{table}/{_name(key)}"

    def read(self, table: str, key: str) -> bytes:
        """As `Parts.read`."""
        with _told("read", self.place(table, key)):
            files, root = self._files()
            return files.cat_file(f"{root}/{table}/{_name(key)}")

    def write(self, table: str, key: str, content: bytes) -> None:
        """As `Parts.write`."""
        with _told("written", self.place(table, key)):
            files, root = self._files()
            files.pipe_file(f"{root}/{table}/{_name(key)}", content)

    def delete(self, table: str, key: str) -> None:
        """As `Parts.delete`."""
        with _told("deleted", self.place(table, key)):
            files, root = self._files()
            files.rm_file(f"{root}/{table}/{_name(key)}")

    def _files(self) -> tuple[Any, str]:
        return import_module("fsspec.core").url_to_fs(self.address.rstrip("/"))


@contextmanager
def _told(what: str, place: str) -> Iterator[None]:
    """Inside, whatever goes wrong with a file system is a RunError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ImportError, ValueError) as error:
        raise RunError(
            f"{place} can't be {what} ({error}). Parts are kept in a folder, or at an address "
            "whose file system is installed (s3fs for s3://, gcsfs for gs://) and whose "
            "credentials are in the environment."
        ) from error


def _name(key: str) -> str:
    return f"{quote(key, safe='')}{ENDING}"


def _key(name: str) -> str:
    return unquote(name.removesuffix(ENDING))
