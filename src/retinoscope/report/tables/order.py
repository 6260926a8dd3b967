"""The order of rows: of tasks, and of any column whose values have one."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

TASKS = ("describe", "poll", "ask", "poll-absent")
"""Tasks as they stand in the paper's tables, and the control."""


def shown_tasks(table: pl.DataFrame) -> list[str]:
    """The tasks of a table in their order, controls ("-absent") left out."""
    named = table.filter(~pl.col("task").str.ends_with("-absent")).select("task").unique()
    return named.sort(rank("task"), "task")["task"].to_list()


def rank(column: str, order: Sequence[str] = TASKS) -> pl.Expr:
    """The place of a column's values in an order, for sorting; unknown ones come last."""
    ranks = {name: place for place, name in enumerate(order)}
    return pl.col(column).replace_strict(ranks, default=len(order), return_dtype=pl.Int64)
