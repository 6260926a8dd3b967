"""The run folder's records: written in parts as they are measured, gathered once at the end.

A run appends one part for each unit of work (`records/.parts/<table>/<key>.parquet`), each
written whole or not at all, so that an interrupted run knows what it has and goes on from there.
`consolidate` gathers the parts into `records/<table>.parquet`, sorted by every column, so that
the result does not depend on the order or on interruptions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import polars as pl
from polars.exceptions import PolarsError

from retinoscope.errors import RunError
from retinoscope.results.atomic import replacing
from retinoscope.results.manifest import Manifest, read_manifest
from retinoscope.results.records import TABLES, Record
from retinoscope.results.schema import frame, schema


@dataclass(frozen=True)
class Results:
    """Everything a run measured, as data frames.

    Attributes:
        path: the run folder.
        manifest: what was run.
        tables: table name (see `records.TABLES`) -> polars frame; a table that was not
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


def append(run: Path, table: str, key: str, records: Sequence[Record]) -> None:
    """Write the records of one unit of work; the same key again replaces them.

    Args:
        run: the run folder.
        table: a name of `records.TABLES`.
        key: names the unit of work in its table, for example "000123". Any text but "".
        records: its rows; none is fine, the key then counts as done.

    Raises:
        RunError: the folder can't be written.
        ValueError: the key is empty.
    """
    if not key:
        raise ValueError("a part needs a key that is not empty")
    with replacing(_parts(run, table) / f"{quote(key, safe='')}.parquet") as stream:
        frame(table, records).write_parquet(stream, compression="zstd")


def done(run: Path, table: str) -> set[str]:
    """Keys whose part is there and whole. A broken part does not count, so it is measured anew."""
    found = set()
    for path in _part_files(run, table):
        try:
            _read(path, table)
        except RunError:
            continue
        found.add(unquote(path.stem))
    return found


def so_far(run: Path, table: str) -> pl.DataFrame:
    """The rows of every whole part of a table, while a run goes on; broken parts are left out."""
    whole = [frame(table, [])]
    for path in _part_files(run, table):
        try:
            whole.append(_read(path, table))
        except RunError:
            continue
    return pl.concat(whole)


def consolidate(run: Path) -> None:
    """Gather the parts of every table into `records/<table>.parquet`.

    The rows are sorted by every column: equal parts give equal bytes. Where the parts are gone
    (a run folder that was shared without them) the gathered table stays as it is.

    Raises:
        RunError: a part is broken (its unit must be measured anew), or the folder can't be
            written.
    """
    for table in TABLES:
        target = _gathered(run, table)
        if not _parts(run, table).is_dir() and target.exists():
            continue
        parts = [_read(path, table) for path in _part_files(run, table)]
        rows = pl.concat([frame(table, []), *parts])
        with replacing(target) as stream:
            rows.sort(rows.columns).write_parquet(stream, compression="zstd")


def read(path: str | Path) -> Results:
    """Read a run folder.

    Raises:
        RunError: not a run folder, or a table in it is broken.
    """
    run = Path(path)
    manifest = read_manifest(run)
    tables = {}
    for table in TABLES:
        source = _gathered(run, table)
        tables[table] = _read(source, table) if source.exists() else frame(table, [])
    return Results(run, manifest, tables)


def _parts(run: Path, table: str) -> Path:
    if table not in TABLES:
        raise KeyError(f"no table {table!r}; there are {', '.join(TABLES)}")
    return run / "records" / ".parts" / table


def _gathered(run: Path, table: str) -> Path:
    return run / "records" / f"{table}.parquet"


def _part_files(run: Path, table: str) -> Iterator[Path]:
    return iter(sorted(_parts(run, table).glob("*.parquet")))


def _read(path: Path, table: str) -> pl.DataFrame:
    try:
        rows = pl.read_parquet(path, glob=False)
    except (PolarsError, OSError) as error:
        raise RunError(
            f"{path} is broken ({error}). Delete it and run the same command again: what it held "
            "is measured anew."
        ) from error
    if rows.schema != pl.Schema(schema(table)):
        raise RunError(
            f"{path} has other columns than this version writes "
            f"({', '.join(rows.columns)}). Start a new run folder, or read it with the version "
            "that wrote it."
        )
    return rows
