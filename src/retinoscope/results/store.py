"""The run folder's records, gathered: one table for each kind, `records/<table>.parquet`.

`consolidate` gathers the parts that a run measured (`measured.py`), sorted by every column, so that
the result does not depend on the order or on interruptions, and writes their checksums beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from retinoscope.brief import brief
from retinoscope.errors import RunError
from retinoscope.results.atomic import replacing
from retinoscope.results.checksums import (
    Checksums,
    digest,
    read_checksums,
    verify,
    write_checksums,
)
from retinoscope.results.manifest import Manifest, read_manifest
from retinoscope.results.measured import Store, as_table, pieces, rows_in
from retinoscope.results.records import tables
from retinoscope.results.schema import frame
from retinoscope.results.sorting import write_sorted

LARGE = 1_000_000
"""Rows from which on a table is not held in memory."""


@dataclass(frozen=True)
class Results:
    """Everything a run measured, as data frames.

    Attributes:
        path: the run folder.
        manifest: what was run.
        tables: table name (see `records.tables`) -> polars frame; a table that was not
            measured is empty, with its columns.
        large: the tables of more than LARGE rows, which are not among `tables` but read when they
            are asked for; name -> file.
    """

    path: Path
    manifest: Manifest
    tables: Mapping[str, pl.DataFrame]
    large: Mapping[str, Path] = field(default_factory=dict)

    def __repr__(self) -> str:
        rows = {name: one.height for name, one in self.tables.items() if one.height}
        held = [f"{name} {count:,}" for name, count in rows.items()]
        held += [f"{name} (large)" for name in self.large]
        about = (
            f"{self.manifest.model.name} on {self.manifest.data['spec']}, {self.manifest.status}"
        )
        return f"Results({self.path}: {about}; rows: {', '.join(held) or 'none'})"

    def __getitem__(self, table: str) -> pl.DataFrame:
        """One table by name; all of it, however large.

        Raises:
            RunError: there is no table of this name.
        """
        self._check(table)
        return self.tables[table] if table in self.tables else pl.read_parquet(self.large[table])

    def records(self, table: str) -> pl.DataFrame | pl.LazyFrame:
        """One table by name; a large one as a lazy frame of its file, sorted by every column.

        Raises:
            RunError: there is no table of this name.
        """
        self._check(table)
        return self.tables[table] if table in self.tables else pl.scan_parquet(self.large[table])

    def _check(self, table: str) -> None:
        names = [*self.tables, *self.large]
        if table not in names:
            raise RunError(f"There is no table {brief(table)}; expected one of {', '.join(names)}.")

    def to_pandas(self) -> dict[str, Any]:
        """The same tables as pandas frames (`pip install 'retinoscope[pandas]'`).

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas

        return {
            name: pandas.DataFrame(self[name].to_dict(as_series=False))
            for name in (*self.tables, *self.large)
        }


def consolidate(store: Store) -> None:
    """Gather the parts of every table into `records/<table>.parquet`.

    The rows are sorted by every column: equal parts give equal bytes. Where the parts are gone
    (a run folder that was shared without them) the gathered table stays as it is.

    Raises:
        RunError: a part is damaged (its unit must be measured again) or of another run, or the
            folder can't be written.
    """
    sums: dict[str, str] = {}
    with ExitStack() as written:
        for table in tables():
            target = _gathered(store.run, table)
            if not store.known(table) and target.exists():
                sums[target.name] = _recorded(store, target)
                continue
            stream = written.enter_context(replacing(target))
            write_sorted(partial(pieces, store, table), frame(table, []), stream, target.parent)
            sums[target.name] = digest(stream)
        # The checksums first: tables without them would be of no known run.
        write_checksums(store.run / "records", Checksums(store.key, sums))


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
    found: dict[str, pl.DataFrame] = {}
    large: dict[str, Path] = {}
    for table in tables():
        path = _gathered(run, table)
        if _checked(store, table) <= LARGE:
            found[table] = as_table(path, table, path) if path.exists() else frame(table, [])
        else:
            large[table] = path
    return Results(run, manifest, found, large)


def check_gathered(store: Store) -> None:
    """Make sure that gathered tables whose parts are gone are this run's; parts replace others.

    Raises:
        RunError: one is of another run, of none that is known, or damaged.
    """
    for table in tables():
        if not store.known(table):
            _checked(store, table)


def _checked(store: Store, table: str) -> int:
    """How many rows a gathered table has, once it is verified to be this run's and whole."""
    path = _gathered(store.run, table)
    sums = read_checksums(path.parent, store.key)
    if not path.exists() and path.name not in sums.files:
        return 0
    verify(path, sums)
    return rows_in(path, table)


def _recorded(store: Store, path: Path) -> str:
    """The checksum of a gathered table that is kept, once it is verified."""
    return verify(path, read_checksums(path.parent, store.key))


def _gathered(run: Path, table: str) -> Path:
    return run / "records" / f"{table}.parquet"
