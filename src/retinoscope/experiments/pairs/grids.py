"""The pairs as tables to read."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.pairs.tables import GROUPS, SETS, main_value
from retinoscope.report.grids import Cell, Grid, Row
from retinoscope.report.wording import DASH, interval, number, percent

NAMES = {
    "own": "asked object",
    "own+1": "asked object +1",
    "own only": "asked object alone",
    "shared": "shared patches",
    "other": "other object alone",
    "other+1": "other object +1, alone",
    "background": "background, matched",
}
"""Sets as they are read."""

_HEADINGS = {
    "all": "all pairs",
    "overlap": "by overlap",
    "distance": "by distance between the centres (near: under .25 of the diagonal, far: over .5)",
    "depth": "by which one hides a part of the other",
    "class": "by class",
}


def leakage_grid(table: pl.DataFrame, task: str) -> Grid:
    """Share of changed answers for each set and each group of pairs."""
    here = table.filter(pl.col("task") == task)
    here = here.filter(pl.col("value") == main_value(here))
    columns = [
        (by, group)
        for by, group in here.select("by", "group").unique(maintain_order=True).rows()
        if by in ("all", "overlap")
    ]
    return _grid(f"{task}: answers that change, by overlap", here, columns)


def other_grids(table: pl.DataFrame, task: str) -> list[Grid]:
    """The same by distance, depth and class, and for each value of the main sets."""
    here = table.filter(pl.col("task") == task)
    main = here.filter(pl.col("value") == main_value(here))
    grids = []
    for by in GROUPS:
        columns = main.filter(pl.col("by") == by).select("by", "group")
        if by not in ("all", "overlap"):
            found = columns.unique(maintain_order=True).rows()
            grids.append(_grid(f"{task}: answers that change, {_HEADINGS[by]}", main, found))
    return [*grids, _values(here, task)]


def _grid(title: str, here: pl.DataFrame, columns: list[tuple[str, str]]) -> Grid:
    cells = {(r["set"], r["by"], r["group"]): r for r in here.iter_rows(named=True)}
    rows = [
        (Cell(NAMES[one]), *(_cell(cells.get((one, *column))) for column in columns))
        for one in SETS
        if any((one, *column) in cells for column in columns)
    ]
    return Grid(title, ("replaced", *(group for _, group in columns)), tuple(rows))


def _values(here: pl.DataFrame, task: str) -> Grid:
    rows = [
        (Cell(f"{NAMES[r['set']]}, {r['value']}"), _cell(r))
        for r in here.filter(pl.col("by") == "all").iter_rows(named=True)
    ]
    title = f"{task}: answers that change, by what stands in the tokens' place"
    return Grid(title, ("replaced, by", "all"), tuple(rows))


def _cell(row: Row | None) -> Cell:
    if row is None or not row["n"]:
        return Cell(DASH)
    lines = [f"{interval(row['changed_low'], row['changed_high'])}; n = {row['n']}"]
    if row["drop"] is not None:
        span = interval(row["drop_low"], row["drop_high"], digits=0)
        lines.append(f"drop {percent(row['drop'], 0)}" + (f" ({span})" if span else ""))
    return Cell(percent(row["changed"]), "\n".join(lines))


def clean_grid(table: pl.DataFrame) -> Grid:
    """How often the untouched model is right, by the number of objects."""
    rows = [
        (
            Cell(f"{row['task']}, {row['objects']} objects"),
            Cell(percent(row["right"]), interval(row["right_low"], row["right_high"])),
            Cell(str(row["n"])),
        )
        for row in table.iter_rows(named=True)
    ]
    return Grid(
        "The model untouched, by objects in the image", ("task", "right", "of"), tuple(rows)
    )


def swap_grid(table: pl.DataFrame, task: str) -> Grid:
    """What becomes of answers when blocks change places at each layer."""
    here = table.filter(pl.col("task") == task)
    kinds = here.select("exchanged", "same_answer").unique(maintain_order=True).rows()
    cells = {(r["exchanged"], r["same_answer"], r["layer"]): r for r in here.iter_rows(named=True)}
    rows = []
    for layer in sorted(here["layer"].unique()):
        row = [Cell(str(layer))]
        for kind in kinds:
            found = cells.get((*kind, layer))
            row.append(
                Cell(DASH)
                if found is None
                else Cell(
                    f"{percent(found['stayed'], 0)} / {percent(found['became'], 0)}",
                    f"n = {found['n']}, shift {number(found['shift'], 2)}",
                )
            )
        rows.append(tuple(row))
    heads = [
        f"{exchanged}{', same answer' if same else ''}: stayed / became"
        for exchanged, same in kinds
    ]
    return Grid(f"{task}: blocks exchanged at one layer", ("layer", *heads), tuple(rows))


def binding_grid(table: pl.DataFrame) -> Grid:
    """Token or slot, for each question."""
    rows = []
    for row in table.iter_rows(named=True):
        shares = [
            Cell(percent(row[one]), interval(row[f"{one}_low"], row[f"{one}_high"]))
            for one in ("token", "slot", "lead")
        ]
        layers = f"{row['first_layer']} to {row['last_layer']}"
        rows.append((Cell(row["task"], f"n = {row['n']}"), Cell(layers), *shares))
    heads = ("question", "layers", "stays (token)", "becomes the other's (slot)", "token less slot")
    return Grid("Exchanged blocks, where the object is still to be read", heads, tuple(rows))
