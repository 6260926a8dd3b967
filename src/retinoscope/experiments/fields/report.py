"""What receptive fields bring to a report: tables, a figure, a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from retinoscope.report.figures.style import BLUE, GREY, ORANGE, panels, percent_axis, rules, styled
from retinoscope.report.grids import Cell, Grid, estimate_cell, filled
from retinoscope.report.parts import Column, Report, Section, Sketch, Tables
from retinoscope.report.tables.headline import headline_frame, headline_row
from retinoscope.report.tables.pairing import estimate_columns, interval_columns
from retinoscope.report.verdict import LEVEL, Check, TooFew, Verdict, above, all_met
from retinoscope.report.wording import count, interval, percent, probability
from retinoscope.results.protocol import Protocol
from retinoscope.results.statistics import fewest_pairs, mcnemar, mean, rate
from retinoscope.results.store import Results

MEASURES = {
    "locality": "share of a token's field on its own place",
    "chance": "the same if fields were even",
    "spread": "spread of a field (0: one part; 1: all alike)",
    "agreement": "of the object's tokens by field, placed at the object by the map",
    "outliers": "outlier tokens an image",
}
CHOSEN = ("field", "map", "random")

_NOTE = (
    "One part of the image at a time is filled with its mean colour; a token's field is how far it "
    "moves for each part, where the language model reads it. The object's tokens by field are as "
    "many as the map has with a buffer of one patch; of a model whose tokens have no place, as "
    "many as the object's share of the image."
)


def fields_table(records: pl.DataFrame) -> pl.DataFrame:
    """Mean of every measure over images: measure, n, value, low, high."""
    rows = []
    for name in MEASURES:
        found = mean(records[name].cast(pl.Float64).to_list(), records["image_id"].to_list())
        rows.append({"measure": name} | estimate_columns("value", found))
    shape: dict[str, Any] = {"measure": pl.String, "value_n": pl.Int64}
    shape |= dict.fromkeys(("value", "value_low", "value_high"), pl.Float64)
    return pl.DataFrame(rows, schema=shape)


def ablations_table(records: pl.DataFrame) -> pl.DataFrame:
    """Right answers lost by task and choice of tokens, and McNemar's test against random.

    Returns:
        task, chosen, tokens (mean), n (right when clean), wrong, loss with low and high, pairs, p.
    """
    able = records.filter("clean_right")
    rows = []
    for (task, chosen), group in able.filter(pl.col("chosen") != "clean").group_by(
        "task", "chosen"
    ):
        wrong = int((~group["right"]).sum())
        lost = rate(wrong, group.height)
        random = able.filter(task=task, chosen="random")
        keys = ["image_id", "object_id", "prompt"]
        both = group.join(random.select(*keys, other=pl.col("right")), keys, "inner")
        ours = int((~both["right"] & both["other"]).sum())
        theirs = int((both["right"] & ~both["other"]).sum())
        rows.append(
            {
                "task": task,
                "chosen": chosen,
                "tokens": group["tokens"].mean(),
                "n": group.height,
                "wrong": wrong,
                **interval_columns("loss", lost),
                "pairs": both.height,
                "p": mcnemar(ours, theirs) if both.height else None,
            }
        )
    shape: dict[str, Any] = {"task": pl.String, "chosen": pl.String, "tokens": pl.Float64}
    shape |= dict.fromkeys(("n", "wrong"), pl.Int64)
    shape |= dict.fromkeys(("loss", "loss_low", "loss_high"), pl.Float64)
    table = pl.DataFrame(rows, schema={**shape, "pairs": pl.Int64, "p": pl.Float64})
    order = pl.col("chosen").replace_strict({name: i for i, name in enumerate(CHOSEN)})
    return table.sort("task", order, descending=[True, False])


def place(fields: pl.DataFrame, ablations: pl.DataFrame) -> Verdict:
    """Do tokens see their own place, and are those that see the object what the answer needs?"""
    known = {row["measure"]: row for row in fields.iter_rows(named=True)}
    checks = [_local(known), *(_needed(ablations, task) for task in ("poll", "ask"))]
    measured = [check for check in checks if check.met is not None]
    return Verdict(
        "Place",
        "What a visual token sees is a part of the image, and the tokens that see an object are "
        "what answers about it need.",
        "Held if all that was measured is met. Tokens without a place have no locality; theirs are "
        "chosen by field alone.",
        all_met(measured or checks),
        tuple(checks),
    )


def _local(known: dict[str, dict[str, Any]]) -> Check:
    condition = "fields lie on the tokens' own places more than even fields would, intervals apart"
    inside, chance = known["locality"], known["chance"]
    if not inside["value_n"]:
        return Check(condition, "these tokens have no place", None)
    span = interval(inside["value_low"], inside["value_high"])
    found = (
        f"{percent(inside['value'])}{f' ({span})' if span else ''} against "
        f"{percent(chance['value'])}"
    )
    return Check(condition, found, above(inside["value_low"], chance["value_high"]))


def _needed(ablations: pl.DataFrame, task: str) -> Check:
    condition = (
        f"{task}: ablating the tokens that see the object loses more right answers than as many at "
        "random (McNemar p < .05)"
    )
    rows = {row["chosen"]: row for row in ablations.filter(task=task).iter_rows(named=True)}
    ours, random = rows.get("field"), rows.get("random")
    if ours is None or random is None or not ours["pairs"]:
        return Check(condition, "not measured", None)
    parts = [
        f"{percent(row['loss'])} ({interval(row['loss_low'], row['loss_high'])}; n = {row['n']})"
        for row in (ours, random)
    ]
    found = f"{parts[0]} against {parts[1]}, p {probability(ours['p'])}"
    if ours["pairs"] < fewest_pairs(LEVEL):
        return Check(condition, found, TooFew(fewest_pairs(LEVEL)))
    return Check(condition, found, ours["p"] < LEVEL and ours["loss"] > random["loss"])


def fields_grid(table: pl.DataFrame) -> Grid:
    """Every measure as it is read."""
    rows = []
    for row in table.filter(pl.col("value_n") > 0).iter_rows(named=True):
        share = row["measure"] != "outliers"
        scale, unit = (100.0, " %") if share else (1.0, "")
        value = estimate_cell(row, "value", scale=scale, unit=unit)
        rows.append((Cell(MEASURES[row["measure"]]), value, Cell(count(row["value_n"]))))
    return Grid("What a token sees", ("", "mean over images", "objects"), tuple(rows))


def ablations_grid(table: pl.DataFrame) -> Grid:
    """What losing the tokens costs."""
    names = {
        "field": "that see the object",
        "map": "at the object +1 by the map",
        "random": "as many at random",
    }
    rows = [
        (
            Cell(f"{row['task']}: tokens {names[row['chosen']]}", f"{row['tokens']:.1f} tokens"),
            estimate_cell(row, "loss", scale=100.0, unit=" %", n="n"),
            Cell(probability(row["p"]) if row["chosen"] != "random" else "–"),
        )
        for row in table.iter_rows(named=True)
    ]
    return Grid("Right answers lost", ("ablated", "lost", "p against random"), tuple(rows))


def losses_figure(table: pl.DataFrame) -> Figure | None:
    """Right answers lost by choice of tokens, a panel for each task."""
    tasks = table["task"].unique(maintain_order=True).to_list()
    if not tasks:
        return None
    colours = {"field": BLUE, "map": ORANGE, "random": GREY}
    with styled("fields-losses"):
        figure, axes = panels(len(tasks), 1, (3.2, 2.2))
        for axis, task in zip(axes[0], tasks, strict=True):
            rows = list(table.filter(task=task).iter_rows(named=True))
            for y, row in enumerate(rows):
                colour = colours[row["chosen"]]
                axis.plot([row["loss_low"], row["loss_high"]], [y, y], color=colour)
                axis.plot([row["loss"]], [y], "o", color=colour, markersize=5)
            axis.set_yticks(range(len(rows)), [row["chosen"] for row in rows])
            axis.set_ylim(len(rows) - 0.5, -0.5)
            axis.set_xlim(-0.03, 1.03)
            axis.set_title(f"{task} (n = {max(row['n'] for row in rows)})")
            percent_axis(axis.xaxis)
            rules(axis, "x")
    return figure


def _tables(results: Results, protocol: Protocol) -> Tables:
    return {
        "fields": fields_table(results["fields"]),
        "field_ablations": ablations_table(results["field_ablations"]),
    }


def _section(tables: Tables) -> Section:
    grids = filled(fields_grid(tables["fields"]), ablations_grid(tables["field_ablations"]))
    return Section(
        "Receptive fields: which part of the image does each visual token see?",
        _NOTE,
        grids=grids,
        brief=grids[:1],
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    caption = "Right answers lost when tokens give way to the mean token, by how they were chosen."
    table = tables["field_ablations"]
    return (Sketch("fields-losses", caption, lambda: losses_figure(table)),)


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    return (place(tables["fields"], tables["field_ablations"]),)


def _headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    tables = _tables(results, protocol)
    rows = [
        headline_row("fields", "image", "value", MEASURES[row["measure"]], row, "value", "value_n")
        for row in tables["fields"].iter_rows(named=True)
    ]
    rows += [
        headline_row("fields", row["task"], "decrease", row["chosen"], row, "loss", "n")
        for row in tables["field_ablations"].iter_rows(named=True)
    ]
    return headline_frame(rows)


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    headline=_headline,
    carrying=("fields", "field_ablations"),
    columns=(
        Column("locality", "image", "value", MEASURES["locality"]),
        Column("if even", "image", "value", MEASURES["chance"]),
        Column("outliers", "image", "value", MEASURES["outliers"]),
        Column("tokens by field lost, ask", "ask", "decrease", "field"),
    ),
)
