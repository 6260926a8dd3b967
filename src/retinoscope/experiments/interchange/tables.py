"""Tables of the interchange: shares by layer and group, heads, paths, and the errors of guesses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from scipy import stats

from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import interval_columns
from retinoscope.results.records import TASKS
from retinoscope.results.statistics import Estimate, holm, mean

GROUPS = ("object", "other objects", "near", "far", "matched", "question", "last")
DIRECTIONS = ("noising", "denoising")
METHODS = ("attribution", "eap_ig", "relp")
ROUTES = (
    "object -> last",
    "object -> question",
    "object -> question -> last",
    "far -> last",
    "far -> question -> last",
)


def cell_table(records: pl.DataFrame) -> pl.DataFrame:
    """The mean share that each layer and group carries, with what is guessed of it.

    Args:
        records: the run's interchange records.

    Returns:
        A row for each task, direction, group and layer of the residual stream: n (items), tokens
        (mean), carried with carried_low and carried_high, and the means of the guesses.
    """
    stream = records.filter(pl.col("head") < 0)
    table = _estimated(stream, ("task", "direction", "group", "layer"), "carried")
    means = stream.group_by("task", "direction", "group", "layer").agg(
        pl.col("tokens").mean(), *(pl.col(name).cast(pl.Float64).mean() for name in METHODS)
    )
    on = ["task", "direction", "group", "layer"]
    return table.join(means, on=on, how="left").sort(
        rank("task", TASKS), "task", rank("direction", DIRECTIONS), rank("group", GROUPS), "layer"
    )


def head_table(records: pl.DataFrame) -> pl.DataFrame:
    """Every single head: the mean share it carries, and Holm's p that it carries any.

    The test is Wilcoxon's signed-rank test over images (means of each image's items), corrected
    over all heads, layers and groups of a task and direction.

    Returns:
        A row for each task, direction, group, layer and head: n, carried with its interval, images
        and p (None where there are too few images to test); the strongest first.
    """
    heads = records.filter(pl.col("head") >= 0)
    keys = ("task", "direction", "group", "layer", "head")
    table = _estimated(heads, keys, "carried")
    if not table.height:
        return table.with_columns(images=pl.lit(0), p=pl.lit(None, pl.Float64))
    rows = []
    for name, family in heads.group_by("task", "direction", maintain_order=True):
        found = []
        for cell, some in family.group_by(keys[2:], maintain_order=True):
            values = some.group_by("image_id").agg(pl.col("carried").mean())["carried"].to_list()
            found.append((*name, *cell, len(values), _signed_rank(values)))
        tested = holm([row[-1] for row in found if row[-1] is not None])
        adjusted = iter(tested)
        rows += [(*r[:-1], None if r[-1] is None else next(adjusted)) for r in found]
    schema = {**{key: heads.schema[key] for key in keys}, "images": pl.Int64, "p": pl.Float64}
    tests = pl.DataFrame(rows, schema, orient="row")
    return table.join(tests, on=list(keys), how="left").sort(
        rank("task", TASKS),
        rank("direction", DIRECTIONS),
        pl.col("carried").abs(),
        *("group", "layer", "head"),
        descending=[False, False, True, False, False, False],
    )


def path_table(records: pl.DataFrame) -> pl.DataFrame:
    """The mean share that each path carries: task, direction, route, the first step's layers."""
    keys = ("task", "direction", "route", "first_layer", "last_layer")
    return _estimated(records, keys, "carried").sort(
        rank("task", TASKS),
        rank("direction", DIRECTIONS),
        rank("route", ROUTES),
        pl.col("last_layer") - pl.col("first_layer"),
        "first_layer",
        descending=[False, False, False, True, False],
    )


def agreement_table(records: pl.DataFrame) -> pl.DataFrame:
    """How wrong each approximation is, item by item: means over items with their intervals.

    Returns:
        A row for each part, direction and approximation: n (items), cells (mean), and of
        rank_correlation, slope, sign_agreement and error the mean with low and high.
    """
    keys = ("part", "direction", "approximation")
    table = _estimated(records, keys, "rank_correlation", "slope", "sign_agreement", "error")
    means = records.group_by(keys).agg(pl.col("cells").mean())
    return table.join(means, on=list(keys), how="left").sort(
        pl.col("part") != "residual stream",
        rank("direction", DIRECTIONS),
        rank("approximation", METHODS),
    )


def item_table(records: pl.DataFrame) -> pl.DataFrame:
    """How many pairs there were, how many were right when clean, and how many were measured."""
    return (
        records.group_by("task", "pair")
        .agg(
            pairs=pl.len(),
            clean_right=pl.col("clean_right").sum(),
            flipped=pl.col("flips").sum(),
            measured=(pl.col("clean_right") & pl.col("flips")).sum(),
            clean_difference=pl.col("clean_difference").mean(),
            corrupt_difference=pl.col("corrupt_difference").mean(),
        )
        .sort(rank("task", TASKS), "task", "pair")
    )


def paired(
    records: pl.DataFrame, column: str, first: str, second: str, direction: str
) -> tuple[Estimate, Estimate, Estimate]:
    """Two groups or routes on the same items: the mean of each, and of their difference.

    Args:
        records: rows of which each item has one of either.
        column: "group" or "route".
        first: one of them.
        second: the other.
        direction: of the rows.
    """
    here = records.filter(pl.col("direction") == direction)
    key = ["image_id", "object_id", "task"]
    one, other = (here.filter(pl.col(column) == name) for name in (first, second))
    both = one.join(other.select(*key, "carried"), on=key, suffix="_second")
    images = both["image_id"].to_list()
    own, against = both["carried"].to_list(), both["carried_second"].to_list()
    gaps = [a - b for a, b in zip(own, against, strict=True)]
    return mean(own, images), mean(against, images), mean(gaps, images)


def _estimated(records: pl.DataFrame, keys: Sequence[str], *columns: str) -> pl.DataFrame:
    """Means over items with bootstrap intervals over images."""
    rows: list[dict[str, Any]] = []
    for name, some in records.group_by(keys, maintain_order=True):
        row = dict(zip(keys, name, strict=True))
        images = some["image_id"].to_list()
        row["n"] = some.height
        for column in columns:
            row |= interval_columns(column, mean(some[column].to_list(), images))
        rows.append(row)
    ends = [c for column in columns for c in (column, f"{column}_low", f"{column}_high")]
    schema = {key: records.schema[key] for key in keys}
    schema |= {"n": pl.Int64(), **dict.fromkeys(ends, pl.Float64())}
    return pl.DataFrame(rows, schema)


def _signed_rank(values: Sequence[float]) -> float | None:
    """Wilcoxon's p that values are as often above 0 as below; None where there are too few."""
    nonzero = [value for value in values if value]
    if len(values) < FEWEST_SIGNED:
        return None
    return float(stats.wilcoxon(nonzero)[1]) if nonzero else 1.0  # pyright: ignore


FEWEST_SIGNED = 6
"""Images below which the signed-rank test can't come below .05."""
