"""The lenses' tables: what each reads by place, and what its direction does to the answers."""

from __future__ import annotations

from typing import Any

import polars as pl

from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import interval_columns
from retinoscope.results.statistics import lost_share, mean, rate

LENSES = (
    *("logit", "tuned-visual", "tuned-text", "latent", "jacobian", "probe"),
    "probe-shuffled",
)
UNIT = ("image_id", "object_id", "task", "prompt")

_SHARES = ("share", "open", "other", "background")


def by_place(records: pl.DataFrame) -> pl.DataFrame:
    """What each lens reads at each place.

    Args:
        records: the run's lenses records.

    Returns:
        A row for each lens and place: objects; share (the class is the likeliest of all classes),
        open (its word is the likeliest of the vocabulary; null where a lens knows the classes
        alone), other (another image's class is: chance) and background (the object's class is, at
        patches beside all objects): means over objects, each with low and high.
    """
    patches = pl.col("patches")
    each = records.with_columns(
        share=pl.col("named") / patches,
        open=pl.when(pl.col("named_open") >= 0).then(pl.col("named_open") / patches),
        other=pl.when(pl.col("other_class") != "").then(pl.col("other") / patches),
        background=pl.when(pl.col("background") > 0).then(
            pl.col("background_named") / pl.col("background")
        ),
    )
    rows = []
    for key, group in each.group_by(["lens", "place"], maintain_order=True):
        row: dict[str, Any] = dict(zip(("lens", "place"), key, strict=True))
        row["objects"] = group.height
        for name in _SHARES:
            row |= _mean(name, group)
        rows.append(row)
    schema: dict[str, Any] = {"lens": pl.String, "place": pl.Int64, "objects": pl.Int64}
    table = pl.DataFrame(rows, schema=schema | _floats(*_SHARES))
    return table.sort(rank("lens", LENSES), "lens", "place")


def summary(places: pl.DataFrame) -> pl.DataFrame:
    """Each lens at the embedding output and at its best place.

    Args:
        places: `by_place`.

    Returns:
        A row for each lens: objects, first (the share at place 0), best_place, and share, open,
        other and background there, each with low and high.
    """
    peak = pl.col("share") == pl.col("share").max().over("lens")
    best = places.filter(peak).unique("lens", keep="first", maintain_order=True)
    ends = ("", "_low", "_high")
    first = places.filter(place=0).select(
        "lens", *(pl.col(f"share{end}").alias(f"first{end}") for end in ends)
    )
    joined = best.join(first, on="lens", how="left", maintain_order="left")
    columns = [f"{name}{end}" for name in ("first", *_SHARES) for end in ends]
    return joined.rename({"place": "best_place"}).select("lens", "objects", "best_place", *columns)


def causes(records: pl.DataFrame) -> pl.DataFrame:
    """What a push against a lens' direction takes from the answer, beside a random one.

    Args:
        records: the run's lenses_causal records.

    Returns:
        A row for each task, place and lens: n (items right when clean, ahead of the best wrong
        answer), drop (what all logit differences lose together, as a share of the clean ones:
        `lost_share`), random (the same under random pushes, of each item their mean), extra (drop
        less random, of the same items), each with low and high; wrong (of them that became wrong)
        and random_wrong, of all random pushes of them.
    """
    ahead = records.filter(pl.col("right_clean") & (pl.col("difference_clean") > 0)).with_columns(
        wrong=~pl.col("right")
    )
    chance = (
        ahead.filter(pl.col("lens") == "random")
        .group_by([*UNIT, "place"])
        .agg(
            random=pl.col("difference").mean(),
            random_wrong=pl.col("wrong").sum(),
            random_n=pl.len(),
        )
    )
    paired = (
        ahead.filter(pl.col("lens") != "random")
        .join(chance, on=[*UNIT, "place"], how="inner", validate="m:1", maintain_order="left")
        .with_columns(
            # What is left where only that is lost that the random push leaves.
            extra=pl.col("difference_clean") - (pl.col("random") - pl.col("difference"))
        )
    )
    rows = []
    keys = ("task", "place", "lens")
    for key, group in paired.group_by(keys, maintain_order=True):
        row: dict[str, Any] = dict(zip(keys, key, strict=True)) | {"n": group.height}
        for name, left in (("drop", "difference"), ("random", "random"), ("extra", "extra")):
            columns = ("difference_clean", left, "image_id")
            lost = lost_share(*(group[column].to_list() for column in columns))
            row |= interval_columns(name, lost)
        for name, count in (("", group.height), ("random_", group["random_n"].sum())):
            share = rate(int(group[f"{name}wrong"].to_numpy().sum()), int(count))
            row |= interval_columns(f"{name}wrong", share)
        rows.append(row)
    schema: dict[str, Any] = {"task": pl.String, "place": pl.Int64, "lens": pl.String}
    schema |= {"n": pl.Int64}
    schema |= _floats("drop", "random", "extra", "wrong", "random_wrong")
    order = (rank("task"), "task", "place", rank("lens", LENSES), "lens")
    return pl.DataFrame(rows, schema=schema).sort(*order)


def _mean(name: str, group: pl.DataFrame) -> dict[str, Any]:
    return interval_columns(name, mean(group[name].to_list(), group["image_id"].to_list()))


def _floats(*names: str) -> dict[str, Any]:
    return {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}
