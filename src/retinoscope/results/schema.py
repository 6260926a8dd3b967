"""From record dataclasses to data frames: a typed column for each field, with or without rows."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import polars as pl

from retinoscope.results.records import Record, tables

_TYPES: dict[type, Any] = {
    int: pl.Int64,
    float: pl.Float64,
    bool: pl.Boolean,
    str: pl.String,
}


def schema(table: str) -> dict[str, Any]:
    """Column name -> polars type of a table, in the order of its dataclass's fields.

    Raises:
        KeyError: no such table in `records.tables`.
    """
    record = tables()[table]
    hints = typing.get_type_hints(record)
    return {field.name: _TYPES[_plain(hints[field.name])] for field in fields(record)}


def frame(table: str, records: Sequence[Record]) -> pl.DataFrame:
    """Records of one table as a data frame of its schema.

    Lone surrogates, which a byte-level vocabulary can put into an answer, become U+FFFD, since
    UTF-8 can't hold them. NaN becomes null: both say "not measured".

    Raises:
        TypeError: a record belongs to another table.
    """
    wanted = tables()[table]
    for record in records:
        if not isinstance(record, wanted):
            raise TypeError(f"table {table!r} holds {wanted.__name__}, not {type(record).__name__}")
    columns = {
        name: [_storable(getattr(record, name)) for record in records] for name in schema(table)
    }
    return pl.DataFrame(columns, schema=schema(table)).fill_nan(None)


def _plain(hint: object) -> type:
    """The type inside `X | None`, or the type itself."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return typing.cast(type, hint)


def _storable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value
