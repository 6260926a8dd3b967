"""The flow tables: curves, their areas, scores compared in pairs, and cuts by layer and group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from retinoscope.experiments.flow.records import CONTROLS, FORMS, QUERIES, SCORES
from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import estimate_columns
from retinoscope.results.statistics import Estimate, holm, mean, signed_rank

LEAST, MOST = -1.0, 1.5
"""What is left of the clean logit difference is held between these: a few answers that turn into
their opposite must not make the mean."""

ITEM = ("image_id", "object_id", "task")
ORDER = (*SCORES, *CONTROLS)
PAIRS = (
    ("rollout", "raw attention"),
    ("rollout", "random"),
    *(("rollout", control) for control in CONTROLS),
    ("raw attention", "object mask"),
    ("raw attention", "measured alone"),
)
"""Scores that are compared in pairs: the first less the second, item by item."""


def left(records: pl.DataFrame) -> pl.DataFrame:
    """Rows of right clean answers, with `left`: the share of the clean logit difference there."""
    ratio = (pl.col("ld") / pl.col("clean_ld")).clip(LEAST, MOST)
    return records.filter(pl.col("clean_ld") > 0).with_columns(left=ratio)


def items(records: pl.DataFrame) -> pl.DataFrame:
    """How many questions were asked of each task, and how many were wrong when clean."""
    clean = records.filter(pl.col("direction") == "clean")
    return (
        clean.group_by("task")
        .agg(
            asked=pl.len().cast(pl.Int64),
            wrong=(~pl.col("clean_right")).sum().cast(pl.Int64),
            images=pl.col("image_id").n_unique().cast(pl.Int64),
        )
        .sort(rank("task"), "task")
    )


def curves(records: pl.DataFrame) -> pl.DataFrame:
    """What is left of the clean logit difference, by score, direction, value and size of the set.

    Returns:
        task, score, direction, value, size; left with n, low and high: the mean over items, the
        interval by a bootstrap over images.
    """
    keys = ["task", "score", "direction", "value", "size"]
    sets = left(records).filter(pl.col("direction") != "clean")
    rows = [
        dict(zip(keys, key, strict=True)) | _mean("left", group, "left")
        for key, group in sets.group_by(keys)
    ]
    return _frame(rows, {**dict.fromkeys(keys[:4], pl.String), "size": pl.Int64}, ["left"]).sort(
        rank("task"), "task", rank("score", ORDER), "direction", "value", "size"
    )


def areas(records: pl.DataFrame) -> pl.DataFrame:
    """Each item's area under each of its curves: the mean of `left` over the sizes.

    Sizes double, so that this is the area over the logarithm of the size.

    Returns:
        image_id, object_id, task, score, direction, value, area, mass, object_share.
    """
    sets = left(records).filter(pl.col("direction") != "clean")
    return (
        sets.group_by([*ITEM, "score", "direction", "value"], maintain_order=True)
        .agg(area=pl.col("left").mean(), mass=pl.col("mass").first(), object_share="object_share")
        .with_columns(object_share=pl.col("object_share").list.first())
    )


def score_table(found: pl.DataFrame) -> pl.DataFrame:
    """Area under the curve of each score, its difference from random order, mass on the object.

    Args:
        found: `areas`.

    Returns:
        task, score, direction, value; area, beyond_random (the area less the random order's of the
        same item; below 0 is better for deletion, above 0 for insertion) and mass, each with n, low
        and high; p of the signed-rank test of beyond_random over images, holm that of Holm over the
        scores of one task, direction and value.
    """
    keys = ["task", "score", "direction", "value"]
    chance = found.filter(pl.col("score") == "random").select(
        *ITEM, "direction", "value", chance=pl.col("area")
    )
    beside = found.join(chance, on=[*ITEM, "direction", "value"], how="left").with_columns(
        beyond=pl.when(pl.col("score") != "random").then(pl.col("area") - pl.col("chance"))
    )
    rows = []
    for key, group in beside.group_by(keys):
        row = dict(zip(keys, key, strict=True)) | _mean("area", group, "area")
        row |= _mean("beyond_random", group, "beyond") | _mean("mass", group, "mass")
        row["p"] = _p(group, "beyond")
        rows.append(row)
    table = _frame(
        rows, dict.fromkeys(keys, pl.String), ["area", "beyond_random", "mass"], ("p",)
    ).sort(rank("task"), "task", "direction", "value", rank("score", ORDER))
    return _adjusted(table, ["task", "direction", "value"])


def pair_table(found: pl.DataFrame) -> pl.DataFrame:
    """The areas of two scores compared item by item.

    Args:
        found: `areas`.

    Returns:
        task, direction, value, first, second; first_area, second_area and difference (first less
        second), with n, low and high over the items that have both; p over images and holm over the
        pairs of one task, direction and value.
    """
    keys = ["task", "direction", "value"]
    rows = []
    for first, second in PAIRS:
        one, other = (
            found.filter(pl.col("score") == name).select(*ITEM, "direction", "value", "area")
            for name in (first, second)
        )
        both = one.join(other, on=[*ITEM, "direction", "value"], how="inner", suffix="_second")
        both = both.with_columns(difference=pl.col("area") - pl.col("area_second"))
        for key, group in both.group_by(keys):
            row = dict(zip(keys, key, strict=True)) | {"first": first, "second": second}
            row |= _mean("first_area", group, "area") | _mean("second_area", group, "area_second")
            row |= _mean("difference", group, "difference") | {"p": _p(group, "difference")}
            rows.append(row)
    names = ["first_area", "second_area", "difference"]
    texts = dict.fromkeys([*keys, "first", "second"], pl.String)
    table = _frame(rows, texts, names, ("p",)).sort(
        rank("task"), "task", "direction", "value", rank("first", ORDER), rank("second", ORDER)
    )
    return _adjusted(table, keys)


def cut_table(records: pl.DataFrame) -> pl.DataFrame:
    """What each cut loses, beside the attention that it takes away.

    Returns:
        task, queries, form, layer, group; drop (share of the clean logit difference that is lost)
        and attention, with n, low and high; p of the drop over images, holm over the layers and
        groups of one task, queries and form.
    """
    keys = ["task", "queries", "form", "layer", "group"]
    rows = []
    for key, group in dropped(records).group_by(keys):
        row = dict(zip(keys, key, strict=True)) | _mean("drop", group, "drop")
        rows.append(row | _mean("attention", group, "attention") | {"p": _p(group, "drop")})
    kinds = {name: pl.Int64 if name == "layer" else pl.String for name in keys}
    table = _frame(rows, kinds, ["drop", "attention"], ("p",)).sort(
        rank("task"), "task", "queries", "form", "layer", "group"
    )
    return _adjusted(table, ["task", "queries", "form"])


def gap_table(cuts: pl.DataFrame, most: int = 3) -> pl.DataFrame:
    """Where attention and effect part most: the cells of each task, the widest gap first.

    Args:
        cuts: `cut_table`.
        most: cells of each task.

    Returns:
        task, layer, group, attention, drop, gap (attention less drop, both shares) of the last
        position's renormalised cuts.
    """
    cells = cuts.filter((pl.col("queries") == QUERIES[0]) & (pl.col("form") == FORMS[0]))
    gaps = cells.with_columns(gap=pl.col("attention") - pl.col("drop")).drop_nulls("gap")
    widest = gaps.sort(rank("task"), "task", pl.col("gap").abs(), descending=[False, False, True])
    return (
        widest.group_by("task", maintain_order=True)
        .head(most)
        .select("task", "layer", "group", "attention", "drop", "gap")
    )


def dropped(records: pl.DataFrame) -> pl.DataFrame:
    """Rows of right clean answers, with `drop`: the share of the clean logit difference lost."""
    return left(records).with_columns(drop=1 - pl.col("left"))


def _p(group: pl.DataFrame, column: str) -> float | None:
    return signed_rank(group[column].to_list(), group["image_id"].to_list())


def _mean(name: str, group: pl.DataFrame, column: str) -> dict[str, Any]:
    estimate: Estimate = mean(group[column].to_list(), group["image_id"].to_list())
    return estimate_columns(name, estimate)


def _adjusted(table: pl.DataFrame, family: Sequence[str]) -> pl.DataFrame:
    """The table with Holm's p over each family of tests; null where there was no test."""
    found = np.full(table.height, np.nan)
    numbered = table.with_row_index("at").filter(pl.col("p").is_not_null())
    for _, group in numbered.group_by(family):
        found[group["at"].to_numpy()] = holm(group["p"].to_list())
    return table.with_columns(holm=pl.Series(found, dtype=pl.Float64).fill_nan(None))


def _frame(
    rows: Sequence[Mapping[str, Any]],
    keys: Mapping[str, Any],
    estimates: Sequence[str],
    others: Sequence[str] = (),
) -> pl.DataFrame:
    schema: dict[str, Any] = dict(keys)
    for name in estimates:
        schema |= {f"{name}_n": pl.Int64}
        schema |= dict.fromkeys((name, f"{name}_low", f"{name}_high"), pl.Float64)
    schema |= dict.fromkeys(others, pl.Float64)
    return pl.DataFrame([*rows], schema=schema)
