"""Bundles: many parts of one table in one file, with an index of their keys.

A part for each unit of work can't be lost by halves, but a hundred thousand small files take
minutes to open. So the process that drives a run puts a table's parts together from time to time:
the bundle is written first, whole or not at all, then its parts are deleted. Where a key is in
both, since the process was killed in between or the unit was done again, the part counts; of two
bundles the later.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from retinoscope.results.parts import Parts

FEWEST = 200
"""Parts of a table that are bundled, at least: what a damaged byte of a bundle costs, about."""


@dataclass(frozen=True)
class Bundle:
    """Several parts of one table.

    Attributes:
        counts: key -> number of rows, in the order of the rows; a part may have none.
        rows: of all of them.
    """

    counts: Mapping[str, int]
    rows: pl.DataFrame

    def without(self, keys: Collection[str]) -> Bundle:
        """The bundle less some of its parts, keys that it doesn't have among them."""
        fresh = {key: count for key, count in self.counts.items() if key not in keys}
        if len(fresh) == len(self.counts):
            return self
        kept = np.repeat([key in fresh for key in self.counts], [*self.counts.values()])
        return Bundle(fresh, self.rows.filter(pl.Series(kept, dtype=pl.Boolean)))


def packed(parts: Mapping[str, pl.DataFrame]) -> bytes:
    """Parts, at least one, by key as the content of a bundle's file: its index, then its rows."""
    index = json.dumps({key: rows.height for key, rows in parts.items()})
    stream = io.BytesIO(index.encode() + b"\n")
    stream.seek(0, io.SEEK_END)
    rows = io.BytesIO()
    pl.concat(parts.values()).write_parquet(rows, compression="zstd")
    stream.write(rows.getbuffer())
    return stream.getvalue()


def index_of(content: bytes) -> dict[str, int]:
    """Key -> number of rows, of what `packed` made; the rows are not looked at."""
    return json.loads(content[: content.index(b"\n")])


def rows_of(content: bytes) -> bytes:
    """The rows of what `packed` made, as Parquet."""
    return content[content.index(b"\n") + 1 :]


def next_name(bundles: Parts, table: str) -> str:
    """The name of a table's next bundle; the names of later ones are greater."""
    names = bundles.keys(table)
    return f"{int(names[-1]) + 1 if names else 0:08d}"
