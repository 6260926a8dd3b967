"""The interchange as tables to read."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.interchange.tables import DIRECTIONS, GROUPS
from retinoscope.experiments.interchange.verdict import NAMES
from retinoscope.report.grids import Cell, Grid, estimate_cell
from retinoscope.report.wording import DASH, count, number, probability

STRONGEST = 12
"""Heads that are listed; the CSV has them all."""


def item_grid(table: pl.DataFrame) -> Grid:
    """How many pairs there were, and how many could be measured."""
    rows = tuple(
        (
            Cell(f"{row['task']}, {row['pair']}"),
            *(Cell(count(row[n])) for n in ("pairs", "clean_right", "flipped", "measured")),
            *(Cell(number(row[f"{n}_difference"], 2)) for n in ("clean", "corrupt")),
        )
        for row in table.iter_rows(named=True)
    )
    heads = (
        *("task, pair", "pairs", "right when clean", "answer turns", "measured"),
        *("mean logit difference, clean", "corrupt"),
    )
    return Grid("Pairs of images", heads, rows)


def path_grid(table: pl.DataFrame) -> Grid:
    """Paths patched in all layers at once."""
    if not table.height:
        return Grid("Paths", (), ())
    whole = table.filter(
        (pl.col("first_layer") == 0) & (pl.col("last_layer") == pl.col("last_layer").max())
    )
    tasks = whole["task"].unique(maintain_order=True).to_list()
    rows = []
    for route in whole["route"].unique(maintain_order=True):
        row = [Cell(route.replace("->", "\u2192"))]
        for task in tasks:
            for direction in DIRECTIONS:
                row.append(_share(whole.filter(task=task, direction=direction, route=route)))
        rows.append(tuple(row))
    groups = (("", 1), *((task, len(DIRECTIONS)) for task in tasks))
    heads = ("path, all layers", *DIRECTIONS * len(tasks))
    return Grid("Share of the difference that a path carries", heads, tuple(rows), groups)


def agreement_grid(table: pl.DataFrame) -> Grid:
    """How wrong each approximation is."""
    rows = tuple(
        (
            Cell(
                f"{NAMES[row['approximation']]}, {row['part']}, {row['direction']}",
                f"{number(row['cells'], 0)} cells",
            ),
            *(
                estimate_cell(row, name, digits=2)
                for name in ("rank_correlation", "slope", "sign_agreement", "error")
            ),
            Cell(count(row["n"])),
        )
        for row in table.iter_rows(named=True)
    )
    heads = (
        *("approximation", "rank correlation", "slope (1 is right)", "equal signs"),
        *("mean absolute error", "items"),
    )
    return Grid("Approximations against the exact sweep, within items", heads, rows)


def stream_grid(table: pl.DataFrame, direction: str) -> Grid:
    """Every group and layer of one direction, with its interval."""
    here = table.filter(pl.col("direction") == direction)
    tasks = here["task"].unique(maintain_order=True).to_list()
    groups = [group for group in GROUPS if group in here["group"]]
    rows = []
    for task in tasks:
        mine = here.filter(pl.col("task") == task)
        for layer in sorted(set(mine["layer"])):
            cells = (_share(mine.filter(group=group, layer=layer)) for group in groups)
            rows.append((Cell(f"{task}, layer {layer}"), *cells))
    return Grid(f"Share carried, {direction}", ("task, layer", *groups), tuple(rows))


def head_grid(table: pl.DataFrame) -> Grid:
    """The heads that carry most."""
    strongest = table.sort(pl.col("carried").abs(), descending=True).head(STRONGEST)
    rows = tuple(
        (
            Cell(
                f"layer {row['layer']}, head {row['head']}, at {row['group']}",
                f"{row['task']}, {row['direction']}",
            ),
            estimate_cell(row, "carried", scale=100.0, unit=" %"),
            Cell(probability(row["p"]), f"{count(row['images'])} images"),
        )
        for row in strongest.iter_rows(named=True)
    )
    heads = ("where", "share carried", "p (signed ranks, Holm over heads)")
    return Grid(f"The {len(rows)} heads that carry most", heads, rows)


def _share(rows: pl.DataFrame) -> Cell:
    if not rows.height:
        return Cell(DASH)
    row = rows.row(0, named=True)
    return estimate_cell(row, "carried", scale=100.0, unit=" %", n="n")
