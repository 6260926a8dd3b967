"""The global features as tables to read."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.globals.tables import KINDS, MODES
from retinoscope.report.grids import Cell, Grid, Row, estimate_cell
from retinoscope.report.wording import DASH, interval, number, percent

_STATES = {
    "clean": "whole image",
    "tokens": "objects' tokens replaced",
    "pixels": "objects' pixels erased",
}


def asked_grid(table: pl.DataFrame) -> Grid:
    """What is asked, how often the untouched model is right, and what can't be asked."""
    rows = tuple(
        (
            Cell(row["task"]),
            Cell(str(row["asked"])),
            Cell(percent(row["right"]), interval(row["right_low"], row["right_high"])),
            Cell(row["reason"] or DASH, f"{row['left_out']} objects" if row["reason"] else ""),
        )
        for row in table.iter_rows(named=True)
    )
    heads = ("task", "asked", "right when clean", "not asked, since")
    return Grid("Questions: only right answers are measured", heads, rows)


def answer_grid(table: pl.DataFrame, task: str) -> Grid:
    """Share of changed answers without each kind of tokens, and with it alone."""
    here = table.filter(pl.col("task") == task)
    columns = [
        (mode, random)
        for mode in MODES
        for random in (False, True)
        if here.filter(pl.col("mode") == mode, pl.col("random") == random).height
    ]
    cells = {(r["token_type"], r["mode"], r["random"]): r for r in here.iter_rows(named=True)}
    rows = []
    for kind in KINDS:
        own = [cells.get((kind, *column)) for column in columns]
        some = next((row for row in own if row is not None), None)
        if some is not None:
            head = Cell(kind, f"{number(some['tokens'])} tokens, n = {some['n']}")
            rows.append((head, *(_cell(row) for row in own)))
    names = {
        "ablate": "without it",
        "keep": "with it alone",
        "erased": "read as without objects",
        "permute": "permuted",
    }
    heads = [
        f"{names.get(mode, 'of another image')}{', random' if random else ''}"
        for mode, random in columns
    ]
    return Grid(f"{task}: answers that change", ("tokens", *heads), tuple(rows))


def _cell(row: Row | None) -> Cell:
    if row is None or not row["n"]:
        return Cell(DASH)
    lines = [interval(row["changed_low"], row["changed_high"])]
    if row["drop"] is not None:
        lines.append(f"drop {percent(row['drop'], 0)}")
    return Cell(percent(row["changed"]), "\n".join(lines))


def probe_grid(table: pl.DataFrame) -> Grid:
    """What a linear probe finds of the whole image, and where."""
    rows = tuple(
        (
            Cell(f"{row['asked']}, {row['read_at']}", f"layer {row['layer']}, n = {row['n']}"),
            Cell(_condition(row)),
            estimate_cell(row, "right", scale=100, unit=" %"),
            estimate_cell(row, "null", scale=100, unit=" %"),
        )
        for row in table.iter_rows(named=True)
    )
    heads = ("a linear probe of", "where", "is right", "of another image (chance)")
    return Grid("Probes: what one state holds of the whole image", heads, rows)


def _condition(row: Row) -> str:
    if row["token_type"] == "none":
        return "whole image"
    if row["mode"] == "pixels":
        return "objects' pixels erased"
    words = "with {} alone" if row["mode"] == "keep" else "without {}"
    kind = "any visual token" if row["token_type"] == "all" else row["token_type"]
    return words.format(f"as many as {kind}, random" if row["random"] else kind)


def read_grid(table: pl.DataFrame, region: str) -> Grid:
    """What patches of a region decode to, by state and layer."""
    heads = {
        "present": "a class of the image",
        "present_null": "of another image (chance)",
        "absent": "any absent class",
        "number": "the true number",
        "number_null": "of another image",
        "wrong_number": "any wrong number",
        "scene": "a scene word",
    }
    rows = []
    for row in table.filter(pl.col("region") == region).iter_rows(named=True):
        cells = [
            Cell(percent(row[name]), interval(row[f"{name}_low"], row[f"{name}_high"]))
            for name in heads
        ]
        head = Cell(f"{_STATES[row['state']]}, layer {row['layer']}", f"n = {row['present_n']}")
        rows.append((head, *cells))
    title = f"What {region} patches decode to"
    return Grid(title, ("state, layer", *heads.values()), tuple(rows))


def kind_grid(table: pl.DataFrame) -> Grid:
    """How many tokens of each kind there are."""
    rows = [
        (
            Cell(row["token_type"]),
            Cell(number(row["tokens"], 2), f"in {row['with_any']} of {row['images']} images"),
            Cell(percent(row["on_objects"])),
            Cell(percent(row["far"])),
            Cell(number(row["norm"], 2)),
            Cell(number(row["attention"], 2)),
        )
        for row in table.iter_rows(named=True)
    ]
    heads = (
        *("kind", "tokens an image", "on objects", "far background"),
        *("norm / median", "attention received / median"),
    )
    return Grid("Kinds of visual tokens, found in the data", heads, tuple(rows))
