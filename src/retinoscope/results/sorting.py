"""Sorting a table that is larger than memory should hold: range by range of its first column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import polars as pl

AT_ONCE = 1_000_000
"""Rows that are in memory at a time, about: as many as one value of the first column has more."""

COMPRESSION = "zstd"


def write_sorted(
    pieces: Callable[[], Iterable[pl.DataFrame]],
    empty: pl.DataFrame,
    stream: IO[bytes],
    folder: Path,
) -> None:
    """Write all rows as one Parquet file, sorted by every column.

    Equal rows give equal bytes, in whatever pieces and order they come.

    Args:
        pieces: gives the rows, piece by piece; asked once, and once more for each range of a table
            of more than AT_ONCE rows.
        empty: a frame without rows, with the columns.
        stream: where to.
        folder: with room for the rows, for as long as they are sorted.

    Raises:
        OSError: the file can't be written.
    """
    first = empty.columns[0]
    counted = [piece.group_by(first).len() for piece in pieces()]
    ends = _ends(pl.concat(counted).group_by(first).sum().sort(first)) if counted else []
    if len(ends) < 2:
        rows = pl.concat([empty, *pieces()])
        with _writing():
            rows.sort(rows.columns).write_parquet(stream, compression=COMPRESSION)
        return
    with TemporaryDirectory(prefix=".sorting-", dir=folder) as aside:
        files: list[Path] = []
        for number, (before, end) in enumerate(zip([None, *ends], ends, strict=False)):
            value = pl.col(first)
            within = (value <= end) if before is None else (value > before) & (value <= end)
            rows = pl.concat(piece.filter(within) for piece in pieces())
            files.append(Path(aside) / f"{number:08d}.parquet")
            with _writing():
                rows.sort(rows.columns).write_parquet(files[-1], compression="lz4")
        with _writing():
            pl.scan_parquet(files).sink_parquet(
                stream, compression=COMPRESSION, row_group_size=2**18, maintain_order=True
            )


@contextmanager
def _writing() -> Iterator[None]:
    """Inside, what the system says of a write is its own error; polars tells it as one of its."""
    try:
        yield
    except pl.exceptions.ComputeError as error:
        raise OSError(str(error)) from error


def _ends(counts: pl.DataFrame) -> list[Any]:
    """The last value of each range: as few ranges of about AT_ONCE rows as hold all."""
    ends: list[Any] = []
    rows = 0
    for value, count in counts.iter_rows():
        if rows and rows + count > AT_ONCE:
            rows = 0
        if rows:
            ends[-1] = value
        else:
            ends.append(value)
        rows += count
    return ends
