"""Tables as they are read: cells of text under grouped headings, for a page and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import polars as pl

from retinoscope.report.wording import DASH, count, interval, number, percent


@dataclass(frozen=True)
class Cell:
    """A number, and in smaller letters what it rests on (interval, n), maybe in several lines."""

    text: str
    detail: str = ""


@dataclass(frozen=True)
class Grid:
    """A table to read.

    Attributes:
        title: what it is.
        heads: column headings; the first column names the row.
        rows: cells, as many in each row as there are headings.
        groups: headings above the headings: (text, how many columns); () for none.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """What each column is called where its heading does not stand above it."""
        above = [name for name, width in self.groups for _ in range(width)]
        pairs = zip(above or [""] * len(self.heads), self.heads, strict=True)
        return tuple(": ".join(filter(None, pair)) for pair in pairs)

    @property
    def starts(self) -> tuple[int, ...]:
        """The columns with which the groups begin, behind the first."""
        return tuple(accumulate(width for _, width in self.groups))[:-1]


Row = Mapping[str, Any]


def accuracy_grid(table: pl.DataFrame) -> Grid:
    """How often the untouched model is right."""
    rows = []
    for row in table.iter_rows(named=True):
        share = f"{interval(row['accuracy_low'], row['accuracy_high'])}"
        cells = (count(row["right"]), count(row["n"]))
        rows.append(
            (
                Cell(f"{row['experiment']}, {row['task']}"),
                Cell(percent(row["accuracy"]), share),
                *map(Cell, cells),
            )
        )
    return Grid("The model untouched", ("experiment, task", "right", "count", "of"), tuple(rows))


def plain_grid(title: str, table: pl.DataFrame, heads: tuple[str, ...]) -> Grid:
    """A table as it stands: text, whole numbers, shares in percent where the column says so."""
    rows = []
    for row in table.iter_rows(named=True):
        rows.append(tuple(Cell(_plain(name, value)) for name, value in row.items()))
    return Grid(title, heads, tuple(rows))


def filled(*grids: Grid) -> tuple[Grid, ...]:
    """The grids that have rows."""
    return tuple(grid for grid in grids if grid.rows)


def share_cell(row: Row | None, common: int | None) -> Cell:
    """A decrease with its interval, and its n unless that is `common` to all."""
    if row is None:
        return Cell(DASH)
    counts = _both_counts(row)
    if not row["n"]:
        return Cell(DASH, "\n".join(counts))
    span = interval(row["decrease_low"], row["decrease_high"])
    return Cell(percent(row["decrease"]), "\n".join((span, *own_n(row, common), *counts)))


def common_n(rows: pl.DataFrame) -> int | None:
    """The n that all rows share, to be said once; None where they differ."""
    return rows["n"][0] if rows.height and rows["n"].n_unique() == 1 else None


def own_n(row: Row, common: int | None) -> tuple[str, ...]:
    """A row's n, unless it is said already."""
    return () if row["n"] == common else (f"n = {row['n']}",)


def _both_counts(row: Row) -> tuple[str, ...]:
    """Where images have no such tokens: how many have, and how many there are."""
    some, everything = row.get("with_tokens"), row.get("in_all")
    return () if some == everything else (f"{some} of {everything} have any",)


def with_n(task: str, common: int | None) -> str:
    """A task with the n that all its rows share."""
    return task if common is None else f"{task} (n = {common})"


def estimate_cell(
    row: Row | None,
    name: str,
    *,
    scale: float = 1.0,
    digits: int = 1,
    unit: str = "",
    n: str = "",
) -> Cell:
    """An estimate with its interval, and its n where a column is named; a dash where none is."""
    if row is None or row[name] is None:
        return Cell(DASH)
    span = interval(row[f"{name}_low"], row[f"{name}_high"], scale=scale, digits=digits)
    detail = ", ".join(part for part in (span, f"n = {row[n]}" if n else "") if part)
    return Cell(f"{number(scale * row[name], digits)}{unit}", detail)


def _plain(name: str, value: Any) -> str:
    if value is None:
        return DASH
    if name == "share":
        return percent(value)
    if isinstance(value, float):
        return number(value)
    return count(value) if isinstance(value, int) else str(value)
