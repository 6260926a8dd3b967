"""The tables of reasoning as they are read."""

from __future__ import annotations

import polars as pl

from retinoscope.report.grids import Cell, Grid, Row, estimate_cell
from retinoscope.report.wording import DASH, count, probability


def questions_grid(table: pl.DataFrame) -> Grid:
    """How often each kind of question is answered rightly."""
    rows = [
        (
            _kind(row),
            _percent(row, "accuracy"),
            Cell(count(row["right"])),
            Cell(count(row["asked"])),
        )
        for row in table.iter_rows(named=True)
    ]
    return Grid("Questions with steps, untouched", ("", "right", "count", "of"), tuple(rows))


def ablations_grid(table: pl.DataFrame) -> Grid:
    """What each part's tokens are worth."""
    rows = []
    for row in table.iter_rows(named=True):
        rows.append(
            (
                Cell(f"{row['kind'].replace('_', ' ')}: {row['place']}", f"n = {row['n']}"),
                _percent(row, "loss"),
                estimate_cell(row, "drop", scale=100.0, unit=" %"),
                _percent(row, "predicted"),
                Cell(probability(row["p"]) if row["place"] != "distractor" else DASH),
            )
        )
    heads = (
        *("tokens ablated", "right answers lost", "logit difference lost"),
        *("becomes one less", "p against distractor"),
    )
    return Grid("What each step needs", heads, tuple(rows))


def order_grid(table: pl.DataFrame) -> Grid:
    """In which layers the steps are made."""
    rows = []
    for row in table.filter(pl.col("n") > 0).iter_rows(named=True):
        cells = [estimate_cell(row, name) for name in ("first", "second", "later")]
        rows.append((_kind(row), *cells, Cell(count(row["n"]))))
    heads = ("", "what is named is read in layer", "the answer in layer", "apart", "questions")
    return Grid("The order of the steps", heads, tuple(rows))


def readings_grid(table: pl.DataFrame) -> Grid:
    """The layer at each place where the hidden step shows best."""
    rows = []
    for (kind, place), group in table.group_by(["kind", "place"], maintain_order=True):
        best = group.sort("share", descending=True).row(0, named=True)
        name = Cell(f"{str(kind).replace('_', ' ')}: {place}", f"n = {best['n']}")
        rows.append((name, _percent(best, "share"), Cell(str(best["layer"]))))
    heads = ("read at", "hidden class beats the control (chance: 50 %)", "at layer")
    return Grid("Where the hidden step can be read", heads, tuple(rows))


def _kind(row: Row) -> Cell:
    return Cell(row["kind"].replace("_", " "))


def _percent(row: Row, name: str) -> Cell:
    return estimate_cell(row, name, scale=100.0, unit=" %")
