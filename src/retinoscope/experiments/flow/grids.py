"""The flow experiment as tables to read."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.flow.records import GROUPS
from retinoscope.report.grids import Cell, Grid, estimate_cell
from retinoscope.report.wording import DASH, count, percent, probability
from retinoscope.results.statistics import rate


def item_grid(items: pl.DataFrame) -> Grid:
    """Questions asked, and those that were wrong when clean and are not measured."""
    rows = []
    for row in items.iter_rows(named=True):
        share = rate(row["wrong"], row["asked"])
        rows.append(
            (
                Cell(row["task"]),
                *map(Cell, (count(row["asked"]), count(row["images"]), count(row["wrong"]))),
                Cell(percent(share.value)),
            )
        )
    heads = ("task", "questions", "images", "wrong when clean, not measured", "share")
    return Grid("Questions", heads, tuple(rows))


def score_grid(scores: pl.DataFrame, task: str, value: str) -> Grid:
    """Every score's areas, their difference from random order, and its mass on the object."""
    here = scores.filter(task=task, value=value)
    names = here["score"].unique(maintain_order=True).to_list()
    cells = {(row["score"], row["direction"]): row for row in here.iter_rows(named=True)}
    rows = []
    for name in names:
        deleted, inserted = (cells.get((name, way)) for way in ("deletion", "insertion"))
        row = deleted or inserted
        if row is None:
            continue
        rows.append(
            (
                Cell(name, f"n = {count(row['area_n'])}"),
                estimate_cell(deleted, "area", digits=2),
                estimate_cell(deleted, "beyond_random", digits=2),
                Cell(probability(deleted["holm"]) if deleted else DASH),
                estimate_cell(inserted, "area", digits=2),
                estimate_cell(inserted, "beyond_random", digits=2),
                Cell(probability(inserted["holm"]) if inserted else DASH),
                estimate_cell(row, "mass", scale=100.0, unit=" %"),
            )
        )
    side = ("area", "less random's", "p (Holm)")
    return Grid(
        f"{task}: how well each order deletes and keeps the answer ({value} tokens in place)",
        ("order of tokens", *side, *side, "on object"),
        tuple(rows),
        (("", 1), ("deletion (low is good)", 3), ("insertion (high is good)", 3), ("mass", 1)),
    )


def pair_grid(pairs: pl.DataFrame) -> Grid:
    """Two orders item by item."""
    rows = [
        (
            Cell(f"{row['task']}, {row['direction']}, {row['value']}"),
            Cell(f"{row['first']} less {row['second']}", f"n = {row['difference_n']}"),
            estimate_cell(row, "first_area", digits=2),
            estimate_cell(row, "second_area", digits=2),
            estimate_cell(row, "difference", digits=2),
            Cell(probability(row["holm"])),
        )
        for row in pairs.iter_rows(named=True)
    ]
    heads = ("task, direction, value", "pair", "first", "second", "difference", "p (Holm)")
    return Grid("Areas compared item by item", heads, tuple(rows))


def cut_grid(cuts: pl.DataFrame, task: str, queries: str, form: str) -> Grid:
    """What knocking out each group in each layer loses, and the attention lost."""
    here = cuts.filter(task=task, queries=queries, form=form)
    groups = [group for group in GROUPS if group in here["group"]]
    cells = {(row["layer"], row["group"]): row for row in here.iter_rows(named=True)}
    rows = []
    for layer in sorted({*here["layer"].to_list()}):
        row: list[Cell] = [Cell(str(layer))]
        for group in groups:
            found = cells.get((layer, group))
            row.append(estimate_cell(found, "drop", scale=100.0, unit=" %"))
            row.append(Cell(percent(found["attention"]) if found else DASH))
            row.append(Cell(probability(found["holm"]) if found else DASH))
        rows.append(tuple(row))
    heads = ("layer", *("lost", "attention", "p (Holm)") * len(groups))
    title = f"{task}: {queries}, knocked out in one layer ({form})"
    return Grid(title, heads, tuple(rows), (("", 1), *((group, 3) for group in groups)))


def agreement_grid(agreement: pl.DataFrame) -> Grid:
    """How mass ranks cells against how effects do, within items."""
    rows = [
        (
            Cell(f"{row['task']}, {row['over']}", f"{row['cells']:.0f} cells"),
            Cell(row["score"]),
            estimate_cell(row, "rho", digits=2, n="rho_n"),
        )
        for row in agreement.iter_rows(named=True)
    ]
    heads = ("task, over", "score", "Spearman's rho, mean over items")
    return Grid("Does mass rank as effects do?", heads, tuple(rows))


def gap_grid(gaps: pl.DataFrame) -> Grid:
    """Where the last position looks and nothing is lost, or the other way round."""
    rows = [
        (
            Cell(f"{row['task']}: layer {row['layer']}, {row['group']}"),
            Cell(percent(row["attention"])),
            Cell(percent(row["drop"])),
        )
        for row in gaps.iter_rows(named=True)
    ]
    heads = ("where", "attention of the last position", "logit difference lost when knocked out")
    return Grid("Where mass and effect part most", heads, tuple(rows))
