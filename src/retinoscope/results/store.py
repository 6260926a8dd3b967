"""The run folder's records: written in parts as they are measured, gathered once at the end.

A run appends one part for each unit of work (`records/.parts/<table>/<key>.part`), each written
whole or not at all and sealed with the run's key, so that an interrupted run knows what it has and
goes on from there. `consolidate` gathers the parts into `records/<table>.parquet`, sorted by every
column, so that the result does not depend on the order or on interruptions, and writes their
checksums beside them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from retinoscope.brief import brief
from retinoscope.errors import DamagedError, RunError
from retinoscope.results.atomic import replacing
from retinoscope.results.checksums import (
    Checksums,
    digest,
    read_checksums,
    verified,
    write_checksums,
)
from retinoscope.results.manifest import Manifest, read_manifest
from retinoscope.results.parts import FolderParts, Parts, RemoteParts
from retinoscope.results.records import Record, tables
from retinoscope.results.schema import frame, schema
from retinoscope.results.sealed import sealed, unsealed


@dataclass(frozen=True)
class Store:
    """Where a run's records are kept.

    Attributes:
        run: the run folder.
        key: the run's key (`Manifest.key`), which every part carries.
        address: where the parts are kept, for fsspec; "" is in the run folder.
    """

    run: Path
    key: str
    address: str = ""

    @property
    def parts(self) -> Parts:
        """Where the parts are kept."""
        if self.address:
            return RemoteParts(self.address)
        return FolderParts(self.run / "records" / ".parts")


@dataclass(frozen=True)
class Results:
    """Everything a run measured, as data frames.

    Attributes:
        path: the run folder.
        manifest: what was run.
        tables: table name (see `records.tables`) -> polars frame; a table that was not
            measured is empty, with its columns.
    """

    path: Path
    manifest: Manifest
    tables: Mapping[str, pl.DataFrame]

    def __getitem__(self, table: str) -> pl.DataFrame:
        """One table by name."""
        return self.tables[table]

    def to_pandas(self) -> dict[str, Any]:
        """The same tables as pandas frames (`pip install 'retinoscope[pandas]'`).

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas

        return {
            name: pandas.DataFrame(table.to_dict(as_series=False))
            for name, table in self.tables.items()
        }


def append(store: Store, table: str, key: str, records: Sequence[Record]) -> None:
    """Write the records of one unit of work; the same key again replaces them.

    Args:
        store: where to.
        table: a name of `records.tables`.
        key: names the unit of work in its table, for example "000123". Any text but "".
        records: its rows; none is fine, the key then counts as done.

    Raises:
        RunError: the folder can't be written.
        ValueError: the key is empty.
    """
    if not key:
        raise ValueError("a part needs a key that is not empty")
    content = _parquet(frame(_known(table), records))
    store.parts.write(table, key, sealed(content, store.key, f"{table}/{key}"))


def done(store: Store, table: str) -> set[str]:
    """Keys whose part is there and whole. A damaged part does not count: it is measured again.

    Raises:
        RunError: a part is of another run.
    """
    return {key for key, _ in _whole_parts(store, table)}


def so_far(store: Store, table: str) -> pl.DataFrame:
    """The rows of every whole part of a table, while a run goes on; damaged parts are left out.

    Raises:
        RunError: a part is of another run.
    """
    return pl.concat([frame(table, []), *(rows for _, rows in _whole_parts(store, table))])


def damaged_parts(store: Store) -> list[tuple[str, str]]:
    """Table and key of the parts that are not as they were written.

    Raises:
        RunError: a part is of another run.
    """
    found = []
    for table in tables():
        for key in store.parts.keys(table):
            try:
                _read_part(store, table, key)
            except DamagedError:
                found.append((table, key))
    return found


def consolidate(store: Store) -> None:
    """Gather the parts of every table into `records/<table>.parquet`.

    The rows are sorted by every column: equal parts give equal bytes. Where the parts are gone
    (a run folder that was shared without them) the gathered table stays as it is.

    Raises:
        RunError: a part is damaged (its unit must be measured again) or of another run, or the
            folder can't be written.
    """
    gathered: dict[str, bytes] = {}
    kept: dict[str, str] = {}
    for table in tables():
        target = _gathered(store.run, table)
        if not store.parts.known(table) and target.exists():
            kept[target.name] = _recorded(store, target)
            continue
        parts = [_read_part(store, table, key) for key in store.parts.keys(table)]
        rows = pl.concat([frame(table, []), *parts])
        gathered[target.name] = _parquet(rows.sort(rows.columns))
    # The checksums first: tables without them would be of no known run.
    sums = kept | {name: digest(content) for name, content in gathered.items()}
    # In one order, whichever tables were gathered in an earlier sitting.
    write_checksums(store.run / "records", Checksums(store.key, dict(sorted(sums.items()))))
    for name, content in gathered.items():
        with replacing(store.run / "records" / name) as stream:
            stream.write(content)


def gather(run: Path) -> None:
    """Gather the parts of a run that is not complete; a complete one's tables stay as they are.

    Raises:
        RunError: as `read_manifest` and `consolidate`.
    """
    manifest = read_manifest(run)
    if manifest.status != "complete":
        consolidate(Store(run, manifest.key))


def read(path: str | Path) -> Results:
    """Read a run folder.

    Raises:
        RunError: not a run folder, or a table in it is damaged or of another run.
    """
    if not isinstance(path, str | Path):
        raise RunError(f"A run folder is named by a path, such as 'runs/x'; got {brief(path)}.")
    run = Path(path)
    manifest = read_manifest(run)
    store = Store(run, manifest.key)
    return Results(run, manifest, {table: _read_gathered(store, table) for table in tables()})


def check_gathered(store: Store) -> None:
    """Make sure that gathered tables whose parts are gone are this run's; parts replace others.

    Raises:
        RunError: one is of another run, of none that is known, or damaged.
    """
    for table in tables():
        if not store.parts.known(table):
            _read_gathered(store, table)


def _read_gathered(store: Store, table: str) -> pl.DataFrame:
    path = _gathered(store.run, table)
    sums = read_checksums(path.parent, store.key)
    if not path.exists() and path.name not in sums.files:
        return frame(table, [])
    return _as_table(verified(path, sums), table, path)


def _recorded(store: Store, path: Path) -> str:
    """The checksum of a gathered table that is kept, once it is verified."""
    return digest(verified(path, read_checksums(path.parent, store.key)))


def _known(table: str) -> str:
    if table not in tables():
        raise KeyError(f"no table {table!r}; there are {', '.join(tables())}")
    return table


def _gathered(run: Path, table: str) -> Path:
    return run / "records" / f"{table}.parquet"


def _whole_parts(store: Store, table: str) -> Iterator[tuple[str, pl.DataFrame]]:
    for key in store.parts.keys(_known(table)):
        try:
            yield key, _read_part(store, table, key)
        except DamagedError:
            continue


def _read_part(store: Store, table: str, key: str) -> pl.DataFrame:
    parts = store.parts
    place = parts.place(table, key)
    content = unsealed(parts.read(table, key), place, store.key, f"{table}/{key}")
    return _as_table(content, table, place)


def _parquet(rows: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    rows.write_parquet(stream, compression="zstd")
    return stream.getvalue()


def _as_table(content: bytes, table: str, place: object) -> pl.DataFrame:
    """Rows of verified bytes."""
    try:
        rows = pl.read_parquet(io.BytesIO(content))
    except PolarsError as error:
        raise RunError(
            f"{place} is as it was written, but this version of polars can't read it ({error}). "
            "Read it with the version that wrote it."
        ) from error
    if rows.schema != pl.Schema(schema(table)):
        raise RunError(
            f"{place} has other columns than this version writes "
            f"({', '.join(rows.columns)}). Start a new run folder, or read it with the version "
            "that wrote it."
        )
    return rows
