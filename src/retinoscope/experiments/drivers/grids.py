"""The drivers as tables to read: shares of the logit and interventions side by side."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.drivers.tables import PARTS
from retinoscope.experiments.drivers.verdict import named
from retinoscope.report.grids import Cell, Grid, Row, estimate_cell, own_n
from retinoscope.report.wording import DASH, interval, number, percent, probability

VALUES = ("mean", "resampled", "frozen", "noise")
HEADS = 12
"""Heads that are listed, by what they add and by what is lost; the CSV has them all."""


def beside_grid(shares: pl.DataFrame, effects: pl.DataFrame, answers: pl.DataFrame) -> Grid:
    """Every sublayer: what it adds to the logit, and what is lost without it."""
    tasks = _tasks(answers)
    rows = []
    for part in PARTS:
        layers = effects.filter(part=part)["layer"].unique().sort().to_list()
        for layer in sorted(layers, key=lambda one: (one < 0, one)):
            where = {"part": part, "layer": layer}
            rows.append(
                (
                    Cell(named(where)),
                    *(_added(shares, read_at, part, layer) for read_at in ("last", "best")),
                    _direct(_row(effects, **where, value="mean", region="image")),
                    *(_lost(_row(effects, **where, value=v, region="image")) for v in VALUES),
                    _lost(_row(effects, **where, value="mean", region="background")),
                    *(
                        _wrong(_row(answers, task=task, **where, value="mean", region="image"))
                        for task in tasks
                    ),
                )
            )
    heads = (
        *("", "at the last layer", "at each object's best layer"),
        *("mean, direct", "mean", "resampled", "frozen", "noise", "mean, background only"),
        *tasks,
    )
    groups = (("", 1), ("adds to the logit", 2), ("best share lost, points", 6))
    groups += (("answers lost without it (mean)", len(tasks)),) if tasks else ()
    return Grid(
        "Sublayers: what they add, and what is lost without them", heads, tuple(rows), groups
    )


def source_grid(effects: pl.DataFrame, answers: pl.DataFrame) -> Grid:
    """Attention of object patches to one source knocked out in every layer."""
    tasks = _tasks(answers)
    rows = []
    for row in effects.filter(part="source").iter_rows(named=True):
        where = {name: row[name] for name in ("part", "layer", "value", "region")}
        rows.append(
            (
                Cell(row["value"]),
                estimate_cell(row, "share", scale=100, unit=" %"),
                _lost(row),
                estimate_cell(row, "last", scale=100, unit=" %"),
                *(_wrong(_row(answers, task=task, **where)) for task in tasks),
            )
        )
    heads = ("can't be read", "best share", "lost, points", "share at the last layer", *tasks)
    groups = (("", 4), ("answers lost", len(tasks))) if tasks else ()
    return Grid("Sources: object patches that can't read ...", heads, tuple(rows), groups)


def head_grid(
    shares: pl.DataFrame, effects: pl.DataFrame, answers: pl.DataFrame, tests: pl.DataFrame
) -> Grid:
    """The heads that add most at the last layer, either way, and those that are missed most."""
    tasks = _tasks(answers.filter(part="head"))
    listed = _outstanding(shares, effects, answers)
    rows = []
    for layer, head in listed.select("layer", "head").iter_rows():
        where = {"part": "head", "layer": layer, "head": head}
        found = {value: _row(effects, **where, value=value) for value in VALUES[:3]}
        said = [_row(answers, task=task, **where) for task in tasks]
        tested = [_row(tests, task=task, layer=layer, head=head) for task in tasks]
        rows.append(
            (
                Cell(named(where)),
                estimate_cell(_row(shares, read_at="last", **where), "logit", digits=2),
                *(_lost(row) for row in found.values()),
                Cell(_p(found["mean"])),
                *(Cell(*_both(*pair)) for pair in zip(said, tested, strict=True)),
            )
        )
    heads = ("", "adds to the logit", *VALUES[:3], "p (Holm over heads)", *tasks)
    groups = (("", 2), ("best share lost, points", 4)) if rows else ()
    groups += (("answers lost without it (mean)", len(tasks)),) if rows and tasks else ()
    return Grid(
        f"Heads: {len(rows)} that add most to the logit, or are missed most",
        heads,
        tuple(rows),
        groups,
    )


def _outstanding(
    shares: pl.DataFrame, effects: pl.DataFrame, answers: pl.DataFrame
) -> pl.DataFrame:
    """Layer and head of those first in what they add, in the lens without, or in the answers."""
    keys = ["layer", "head"]
    added = shares.filter(read_at="last", part="head").select(*keys, "logit")
    lost = effects.filter(part="head", value="mean").select(*keys, "loss")
    missed = answers.filter(part="head").group_by(keys).agg(pl.col("decrease").max())
    every = added.join(lost, on=keys, how="full", coalesce=True)
    every = every.join(missed, on=keys, how="full", coalesce=True)
    size = [pl.col("logit").abs(), pl.col("loss"), pl.col("decrease")]
    # A head that nothing misses stands out in nothing, whatever its place among others like it.
    places = [pl.when(one > 0).then(one).rank("ordinal", descending=True) for one in size]
    return every.sort(pl.min_horizontal(places), *keys, nulls_last=True).head(HEADS)


def _both(said: Row | None, tested: Row | None) -> tuple[str, str]:
    """Answers lost without a head, and below it how sure it is that it is missed."""
    cell = _wrong(said)
    p = "" if tested is None else f"p {probability(tested['p_holm'])}"
    return cell.text, "\n".join(filter(None, (cell.detail, p)))


def effect_grid(effects: pl.DataFrame) -> Grid:
    """Every intervention but those on single heads, with the test of it."""
    rows = tuple(
        (
            Cell(_intervention(row), row["region"]),
            estimate_cell(row, "share", scale=100, unit=" %"),
            _lost(row),
            Cell(f"{row['fell']} / {row['rose']}", f"of {row['objects']}"),
            Cell(_p(row)),
        )
        for row in effects.filter(pl.col("part") != "head").iter_rows(named=True)
    )
    heads = ("", "best share", "lost, points", "fell / rose", "p (Holm for single sublayers)")
    return Grid("Every intervention on the lens", heads, rows)


def _intervention(row: Row) -> str:
    if row["part"] == "source":
        return f"can't read {row['value']}"
    return f"{named(row)}, {row['value']}"


def _tasks(answers: pl.DataFrame) -> tuple[str, ...]:
    return tuple(answers["task"].unique().sort(descending=True).to_list())


def _row(table: pl.DataFrame, **where: str | int) -> Row | None:
    found = table.filter([pl.col(name) == value for name, value in where.items()])
    return found.row(0, named=True) if found.height else None


def _added(shares: pl.DataFrame, read_at: str, part: str, layer: int) -> Cell:
    """A part's share; all layers of it together without an interval of their own."""
    rows = shares.filter(read_at=read_at, part=part)
    if layer < 0:
        return Cell(number(sum(rows["logit"].to_list()), 2)) if rows.height else Cell(DASH)
    return estimate_cell(_row(rows, layer=layer), "logit", digits=2)


def _lost(row: Row | None) -> Cell:
    return estimate_cell(row, "loss", scale=100)


def _direct(row: Row | None) -> Cell:
    return estimate_cell(row, "direct_loss", scale=100)


def _p(row: Row | None) -> str:
    if row is None:
        return DASH
    return probability(row["p_holm"] if row["p_holm"] is not None else row["p"])


def _wrong(row: Row | None) -> Cell:
    if row is None or not row["n"]:
        return Cell(DASH)
    span = interval(row["decrease_low"], row["decrease_high"])
    return Cell(percent(row["decrease"]), "\n".join((span, *own_n(row, None))))
