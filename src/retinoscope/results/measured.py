"""What a run has measured so far: parts, one for each unit of work, and bundles of them.

A part (`records/.parts/<table>/<key>.part`) is written whole or not at all and sealed with the
run's key, so that an interrupted run knows what it has and goes on from there.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from retinoscope.errors import DamagedError, RunError
from retinoscope.results.bundles import FEWEST, Bundle, index_of, next_name, packed, rows_of
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

    @property
    def bundles(self) -> Parts:
        """Where parts that were put together are kept."""
        if self.address:
            return RemoteParts(f"{self.address.rstrip('/')}/.bundles")
        return FolderParts(self.run / "records" / ".parts" / ".bundles")

    def known(self, table: str) -> bool:
        """Whether any part of a table was ever written."""
        return self.parts.known(table) or self.bundles.known(table)


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
    """Keys whose part is there and whole. A damaged part does not count: it is measured anew.

    Raises:
        RunError: a part is of another run.
    """
    found: set[str] = set()
    for keys in _indices(store, _known(table)):
        found.update(keys)
    return found


def row_count(store: Store, table: str) -> int:
    """How many rows the whole parts of a table have.

    Raises:
        RunError: a part is of another run.
    """
    counts: dict[str, int] = {}
    for keys in _indices(store, _known(table)):
        counts = {**keys, **counts}
    return sum(counts.values())


def so_far(store: Store, table: str) -> pl.DataFrame:
    """The rows of every whole part of a table, while a run goes on; damaged parts are left out.

    Raises:
        RunError: a part is of another run.
    """
    return pl.concat([frame(table, []), *pieces(store, _known(table), passing=True)])


def bundle(store: Store, fewest: int = FEWEST) -> None:
    """Put the parts of every table together that has many; for the process that drives a run alone.

    Args:
        store: where the parts are.
        fewest: tables with fewer parts are left as they are.

    Raises:
        RunError: a part is of another run, or the store can't be written.
    """
    for table in tables():
        keys = store.parts.keys(table)
        if len(keys) < fewest:
            continue
        whole = dict(_whole_parts(store, table, keys))
        if whole:
            name = next_name(store.bundles, table)
            content = sealed(packed(whole), store.key, f"{table}/bundle {name}")
            store.bundles.write(table, name, content)
        for key in whole:
            store.parts.delete(table, key)


def damaged_parts(store: Store) -> list[tuple[Parts, str, str]]:
    """The parts and bundles that are not as they were written: where, of which table, which key.

    Raises:
        RunError: a part is of another run.
    """
    found = []
    for table in tables():
        for parts, read in ((store.parts, _read_part), (store.bundles, _bundle_content)):
            for key in parts.keys(table):
                try:
                    read(store, table, key)
                except DamagedError:
                    found.append((parts, table, key))
    return found


def pieces(store: Store, table: str, *, passing: bool = False) -> Iterator[pl.DataFrame]:
    """The rows of a table, from each part and bundle that has any which no newer one replaced.

    Args:
        store: where they are.
        table: which.
        passing: over damaged ones.

    Raises:
        DamagedError: one is damaged.
        RunError: one is of another run.
    """
    seen: set[str] = set()
    for key in store.parts.keys(table):
        with suppress(DamagedError) if passing else nullcontext():
            yield _read_part(store, table, key)
            seen.add(key)
    for name in reversed(store.bundles.keys(table)):
        with suppress(DamagedError) if passing else nullcontext():
            content = _bundle_content(store, table, name)
            rows = as_table(io.BytesIO(rows_of(content)), table, store.bundles.place(table, name))
            found = Bundle(index_of(content), rows)
            yield found.without(seen).rows
            seen |= found.counts.keys()


def as_table(source: io.BytesIO | Path, table: str, place: object) -> pl.DataFrame:
    """Rows of a verified file or its bytes."""
    with _readable(place):
        rows = pl.read_parquet(source)
    _check_columns(rows.schema, table, place)
    return rows


def rows_in(path: Path, table: str) -> int:
    """How many rows a verified file holds.

    Raises:
        RunError: it can't be read, or has other columns than the table.
    """
    with _readable(path):
        found = pl.scan_parquet(path)
        columns, rows = found.collect_schema(), found.select(pl.len()).collect()
    _check_columns(columns, table, path)
    return rows.item()


@contextmanager
def _readable(place: object) -> Iterator[None]:
    try:
        yield
    except PolarsError as error:
        raise RunError(
            f"{place} is as it was written, but this version of polars can't read it ({error}). "
            "Read it with the version that wrote it."
        ) from error


def _check_columns(columns: Mapping[str, Any], table: str, place: object) -> None:
    if columns != pl.Schema(schema(table)):
        raise RunError(
            f"{place} has other columns than this version writes "
            f"({', '.join(columns)}). Start a new run folder, or read it with the version "
            "that wrote it."
        )


def _known(table: str) -> str:
    if table not in tables():
        raise KeyError(f"no table {table!r}; there are {', '.join(tables())}")
    return table


def _indices(store: Store, table: str) -> Iterator[dict[str, int]]:
    """Key -> number of rows of each whole part and bundle, the newest first."""
    for key, rows in _whole_parts(store, table, store.parts.keys(table)):
        yield {key: rows.height}
    for name in reversed(store.bundles.keys(table)):
        with suppress(DamagedError):
            yield index_of(_bundle_content(store, table, name))


def _whole_parts(
    store: Store, table: str, keys: Sequence[str]
) -> Iterator[tuple[str, pl.DataFrame]]:
    for key in keys:
        try:
            yield key, _read_part(store, table, key)
        except DamagedError:
            continue


def _read_part(store: Store, table: str, key: str) -> pl.DataFrame:
    parts = store.parts
    place = parts.place(table, key)
    content = unsealed(parts.read(table, key), place, store.key, f"{table}/{key}")
    return as_table(io.BytesIO(content), table, place)


def _bundle_content(store: Store, table: str, name: str) -> bytes:
    place = store.bundles.place(table, name)
    stored = store.bundles.read(table, name)
    return unsealed(stored, place, store.key, f"{table}/bundle {name}")


def _parquet(rows: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    rows.write_parquet(stream, compression="zstd")
    return stream.getvalue()
