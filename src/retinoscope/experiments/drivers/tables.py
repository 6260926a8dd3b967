"""The drivers' tables: what each intervention takes from the lens, and what from the answers."""

from __future__ import annotations

from typing import Any

import polars as pl

from retinoscope.report.tables.pairing import estimate_columns, interval_columns
from retinoscope.results.statistics import holm, lost_share, mcnemar, mean, rate

TRIAL = ("part", "layer", "head", "value", "region")
OBJECT = ("image_id", "object_id")
PARTS = ("attention", "mlp")

_ESTIMATES = (
    *("share", "share_clean", "loss", "direct_loss"),
    *("last", "last_clean", "last_loss", "last_direct_loss"),
)


def by_place(records: pl.DataFrame) -> pl.DataFrame:
    """The share of object patches that name the object, by place, under every intervention.

    Args:
        records: the run's drivers records.

    Returns:
        A row for each intervention and place: objects, and share (mean over objects) with low and
        high.
    """
    shares = records.with_columns(share=pl.col("named") / pl.col("patches"))
    rows = []
    for key, group in shares.group_by([*TRIAL, "place"], maintain_order=True):
        row: dict[str, Any] = dict(zip((*TRIAL, "place"), key, strict=True))
        rows.append(row | {"objects": group.height} | _mean("share", group, "share"))
    schema: dict[str, Any] = _trial_schema() | {"place": pl.Int64, "objects": pl.Int64}
    return pl.DataFrame(rows, schema=schema | _floats("share")).sort(*TRIAL, "place")


def effects(records: pl.DataFrame) -> pl.DataFrame:
    """What every intervention takes from the lens.

    Args:
        records: the run's drivers records.

    Returns:
        A row for each intervention: objects; share, the mean over objects of the share at each
        object's best place; share_clean, the same of the clean run, and loss, their difference;
        last, last_clean and last_loss, the same behind the last layer; all with low and high; fell
        and rose, objects whose best share did; p of the exact sign test of the two, and p_holm,
        Holm's over the single sublayers that were given one kind of value at the whole image.
    """
    last = records["place"].max() if records.height else 0
    shares = records.with_columns(
        share=pl.col("named") / pl.col("patches"), direct=pl.col("direct") / pl.col("patches")
    )
    behind = pl.col("place") == last
    each = shares.group_by([*OBJECT, *TRIAL], maintain_order=True).agg(
        *(pl.col(name).max() for name in ("share", "direct")),
        last=pl.col("share").filter(behind).first(),
        last_direct=pl.col("direct").filter(behind).first(),
    )
    clean = each.filter(pl.col("part") == "none").select(
        *OBJECT, share_clean=pl.col("share"), last_clean=pl.col("last")
    )
    paired = each.filter(pl.col("part") != "none").join(
        clean, on=list(OBJECT), how="inner", validate="m:1", maintain_order="left"
    )
    paired = paired.with_columns(
        loss=pl.col("share_clean") - pl.col("share"),
        direct_loss=pl.col("share_clean") - pl.col("direct"),
        last_loss=pl.col("last_clean") - pl.col("last"),
        last_direct_loss=pl.col("last_clean") - pl.col("last_direct"),
    )
    rows = []
    for key, group in paired.group_by(TRIAL, maintain_order=True):
        fell, rose = (group.filter(one).height for one in (pl.col("loss") > 0, pl.col("loss") < 0))
        row: dict[str, Any] = dict(zip(TRIAL, key, strict=True))
        row |= {"objects": group.height, "fell": fell, "rose": rose, "p": mcnemar(fell, rose)}
        for name in _ESTIMATES:
            row |= _mean(name, group, name)
        rows.append(row)
    counts = dict.fromkeys(("objects", "fell", "rose"), pl.Int64)
    schema: dict[str, Any] = _trial_schema() | counts | {"p": pl.Float64}
    table = pl.DataFrame(rows, schema=schema | _floats(*_ESTIMATES))
    return _with_holm(table)


def _with_holm(table: pl.DataFrame) -> pl.DataFrame:
    """Holm's p among the single sublayers, or heads, that were given one kind of value."""
    single = (pl.col("layer") >= 0) & (pl.col("region") == "image")
    parts = [table.filter(~single).with_columns(p_holm=pl.lit(None, pl.Float64))]
    kinds = ["value", pl.col("head") >= 0]
    for _, group in table.filter(single).group_by(kinds, maintain_order=True):
        adjusted = pl.Series("p_holm", holm(group["p"].to_list()), pl.Float64)
        parts.append(group.with_columns(adjusted))
    return pl.concat(parts).sort(*TRIAL)


def answers(records: pl.DataFrame) -> pl.DataFrame:
    """What every intervention takes from the answers.

    Args:
        records: the run's drivers_answers records.

    Returns:
        A row for each task and intervention: asked, n (of them right when clean), wrong, decrease
        (wrong / n) with low and high; drop, what all logit differences lose as a share of the clean
        ones that are above 0 (`lost_share`), with low, high and drop_n.
    """
    changed = records.filter(pl.col("part") != "none")
    rows = []
    for key, group in changed.group_by(["task", *TRIAL], maintain_order=True):
        right = group.filter("right_clean")
        share = rate(right.filter(~pl.col("right")).height, right.height)
        differences = ("difference_clean", "difference", "image_id")
        row: dict[str, Any] = dict(zip(("task", *TRIAL), key, strict=True))
        row |= {"asked": group.height, "n": share.n, "wrong": share.hits}
        row |= interval_columns("decrease", share)
        row |= estimate_columns(
            "drop", lost_share(*(group[name].to_list() for name in differences))
        )
        rows.append(row)
    counts = dict.fromkeys(("asked", "n", "wrong"), pl.Int64)
    schema: dict[str, Any] = {"task": pl.String} | _trial_schema() | counts
    schema |= _floats("decrease") | {"drop_n": pl.Int64} | _floats("drop")
    return pl.DataFrame(rows, schema=schema).sort("task", *TRIAL)


def head_answers(records: pl.DataFrame) -> pl.DataFrame:
    """Whether answers miss a head more than the next one of its layer, which stands for any other.

    Args:
        records: the run's drivers_answers records.

    Returns:
        A row for each task and head (of a layer with several): n (right when clean), wrong without
        the head, other (wrong without the next head of its layer, behind the last comes the first),
        p of McNemar's test of the two, and p_holm, Holm's over all of these.
    """
    heads = records.filter(pl.col("part") == "head", "right_clean")
    count = pl.col("head").max().over("layer") + 1
    each = heads.with_columns(wrong=~pl.col("right"), next=(pl.col("head") + 1) % count)
    item = ["task", *OBJECT, "layer"]
    others = each.select(*item, next="head", other="wrong")
    paired = each.filter(pl.col("next") != pl.col("head")).join(others, on=[*item, "next"])
    table = (
        paired.group_by("task", "layer", "head")
        .agg(
            pl.col("wrong", "other").sum(),
            n=pl.len(),
            alone=(pl.col("wrong") & ~pl.col("other")).sum(),
            beside=(pl.col("other") & ~pl.col("wrong")).sum(),
        )
        .sort("task", "layer", "head")
    )
    tests = [mcnemar(*both) for both in table.select("alone", "beside").iter_rows()]
    adjusted = {"p": tests, "p_holm": holm(tests)}
    tested = table.with_columns(pl.Series(k, v, pl.Float64) for k, v in adjusted.items())
    return tested.select("task", "layer", "head", "n", "wrong", "other", "p", "p_holm")


def shares(records: pl.DataFrame) -> pl.DataFrame:
    """Direct logit attribution: the mean over objects of what each part adds to the word's logit.

    Args:
        records: the run's drivers_shares records.

    Returns:
        A row for each read_at, part, layer and head: objects, and logit with low and high. Objects
        that are read best below a layer have no share of it.
    """
    names = ("read_at", "part", "layer", "head")
    rows = []
    for key, group in records.group_by(names, maintain_order=True):
        row: dict[str, Any] = dict(zip(names, key, strict=True))
        rows.append(row | {"objects": group.height} | _mean("logit", group, "logit"))
    schema: dict[str, Any] = {"read_at": pl.String, "part": pl.String}
    schema |= dict.fromkeys(("layer", "head", "objects"), pl.Int64) | _floats("logit")
    return pl.DataFrame(rows, schema=schema).sort(*names)


def _mean(name: str, group: pl.DataFrame, column: str) -> dict[str, Any]:
    return interval_columns(name, mean(group[column].to_list(), group["image_id"].to_list()))


def _trial_schema() -> dict[str, Any]:
    return {name: pl.Int64 if name in ("layer", "head") else pl.String for name in TRIAL}


def _floats(*names: str) -> dict[str, Any]:
    return {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}
