"""The tables of the global features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import estimate_columns, interval_columns
from retinoscope.results.statistics import lost_share, mean, rate

TASKS = ("describe", "poll", "poll-absent", "ask", "where", "count", "theme")
KINDS = (
    "all",
    "object+1",
    "background",
    "far background",
    "norm outliers",
    "norm outliers (MAD)",
    "norm outliers (3 x median)",
    "attention sinks",
    "massive states",
    "dead",
    "rest",
)
MODES = ("ablate", "keep", "erased", "permute", "other image")
STATES = ("clean", "tokens", "pixels")
REGIONS = ("far background", "object")
SHARES = ("present", "present_null", "absent", "number", "number_null", "wrong_number", "scene")
ITEM = ("image_id", "object_id", "task")
_ENDS = ("", "_low", "_high")


def asked_table(records: pl.DataFrame, skipped: pl.DataFrame) -> pl.DataFrame:
    """What is asked, how often the untouched model is right, and why a task is not.

    Args:
        records: the run's globals.
        skipped: the run's skips.

    Returns:
        A row for each of TASKS: asked (questions), n (those answered rightly), right with low and
        high (their share, Wilson), left_out (questions that could not be asked) and reason (the
        most frequent one; "" without any).
    """
    clean = records.filter(pl.col("token_type") == "none")
    own = skipped.filter(pl.col("experiment") == "globals")
    rows = []
    for task in TASKS:
        group, reasons = (
            clean.filter(pl.col("task") == task),
            own.filter(pl.col("condition") == task),
        )
        share = rate(int(group["clean_right"].sum()), group.height)
        most = reasons.group_by("reason").len().sort("len", "reason", descending=[True, False])
        row: dict[str, Any] = {"task": task, "asked": share.n, "n": share.hits}
        row |= interval_columns("right", share)
        row |= {"left_out": reasons.height, "reason": next(iter(most["reason"]), "")}
        rows += [row] if share.n or reasons.height else []
    schema: dict[str, Any] = {"task": pl.String, "asked": pl.Int64, "n": pl.Int64}
    schema |= {f"right{end}": pl.Float64 for end in _ENDS}
    return pl.DataFrame(rows, schema=schema | {"left_out": pl.Int64, "reason": pl.String})


def answer_table(records: pl.DataFrame) -> pl.DataFrame:
    """How often answers change without a kind of tokens, and with it alone.

    Args:
        records: the run's globals.

    Returns:
        A row for each task, token_type, mode and random that was measured: n (questions that the
        clean run answers rightly), tokens (mean number of the kind), changed with low and high
        (share that is wrong now, Wilson), drop with low, high and its own n (lost share of the
        logit differences, bootstrap over images).
    """
    keys = ["task", "token_type", "mode", "random"]
    grouped = (
        records.filter(pl.col("token_type") != "none", "clean_right")
        .group_by(keys, maintain_order=True)
        .agg(
            n=pl.len(),
            tokens=pl.col("tokens").mean(),
            wrong=(~pl.col("right")).sum(),
            clean=pl.col("clean_ld"),
            left=pl.col("ld"),
            images=pl.col("image_id"),
        )
    )
    rows: list[dict[str, Any]] = []
    for row in grouped.iter_rows(named=True):
        share = rate(row["wrong"], row["n"])
        rows.append(
            {name: row[name] for name in (*keys, "n", "tokens")}
            | interval_columns("changed", share)
            | estimate_columns("drop", lost_share(row["clean"], row["left"], row["images"]))
        )
    return pl.DataFrame(rows, schema=_ANSWERS).sort(
        rank("task", TASKS), rank("token_type", KINDS), rank("mode", MODES), "random"
    )


_ANSWERS: dict[str, Any] = {
    **dict.fromkeys(("task", "token_type", "mode"), pl.String),
    **{"random": pl.Boolean, "n": pl.Int64, "tokens": pl.Float64},
    **dict.fromkeys(("changed", "changed_low", "changed_high"), pl.Float64),
    "drop_n": pl.Int64,
    **dict.fromkeys(("drop", "drop_low", "drop_high"), pl.Float64),
}


def read_table(records: pl.DataFrame) -> pl.DataFrame:
    """What patches decode to by state, region and layer: means over images.

    Args:
        records: the run's globals_read.

    Returns:
        A row for each state, region and layer: each of SHARES with low, high (bootstrap over
        images) and its n.
    """
    keys = ["state", "region", "layer"]
    grouped = once(records, ("state", "region", "layer")).group_by(keys, maintain_order=True)
    rows: list[dict[str, Any]] = []
    for row in grouped.agg("image_id", *SHARES).iter_rows(named=True):
        found: dict[str, Any] = {name: row[name] for name in keys}
        for name in SHARES:
            found |= estimate_columns(name, mean(row[name], row["image_id"]))
        rows.append(found)
    return pl.DataFrame(rows, schema=_READ).sort(
        rank("region", REGIONS), rank("state", STATES), "layer"
    )


_READ: dict[str, Any] = {
    **dict.fromkeys(("state", "region"), pl.String),
    "layer": pl.Int64,
    **{
        f"{name}{end}": pl.Int64 if end == "_n" else pl.Float64
        for name in SHARES
        for end in ("_n", "", "_low", "_high")
    },
}


def kind_table(records: pl.DataFrame) -> pl.DataFrame:
    """How many tokens of each kind there are, and where.

    Args:
        records: the run's globals_types.

    Returns:
        A row for each kind: images, with_any (how many have one), tokens (mean number), on_objects
        and far (shares of all of them), norm and attention (mean multiples of the median).
    """
    return (
        once(records, ("token_type",))
        .group_by("token_type", maintain_order=True)
        .agg(
            images=pl.len(),
            with_any=(pl.col("tokens") > 0).sum(),
            mean_tokens=pl.col("tokens").mean(),
            on_objects=_share("on_objects"),
            far=_share("far"),
            norm=pl.col("norm").mean(),
            attention=pl.col("attention").mean(),
        )
        .rename({"mean_tokens": "tokens"})
        .sort(rank("token_type", KINDS))
    )


def _share(column: str) -> pl.Expr:
    whole = pl.col("tokens").sum()
    return pl.when(whole > 0).then(pl.col(column).sum() / whole)


def once(records: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """What is of an image alone, once for each image, whichever objects of it were measured."""
    return records.unique(["image_id", *keys], keep="first", maintain_order=True)


def late_shares(records: pl.DataFrame) -> pl.DataFrame:
    """What the far background decodes to in the second half of depth, for each image.

    Args:
        records: the run's globals_read.

    Returns:
        image_id, and for each state that was measured its share of present classes ("clean",
        "tokens", "pixels"), and "null", the clean state's chance; means over the layers.
    """
    here = once(records, ("state", "region", "layer")).filter(
        pl.col("region") == REGIONS[0], pl.col("layer") * 2 >= pl.col("layer").max()
    )
    by_image = here.group_by("image_id", "state", maintain_order=True).agg(
        pl.col("present").mean(), null=pl.col("present_null").mean()
    )
    clean = by_image.filter(pl.col("state") == "clean")
    found = clean.select("image_id", "null", clean="present")
    for state in STATES[1:]:
        rows = by_image.filter(pl.col("state") == state)
        found = found.join(
            rows.select("image_id", pl.col("present").alias(state)), "image_id", "left"
        )
    return found


def paired(
    records: pl.DataFrame, first: tuple[str, str, bool], second: tuple[str, str, bool]
) -> pl.DataFrame:
    """Two conditions on the same questions: ITEM, and whether each answer changed (bool).

    Args:
        records: the run's globals.
        first: token_type, mode and random of a condition.
        second: of another one.
    """

    def one(which: tuple[str, str, bool], name: str) -> pl.DataFrame:
        kind, mode, random = which
        rows = records.filter(
            "clean_right",
            pl.col("token_type") == kind,
            pl.col("mode") == mode,
            pl.col("random") == random,
            pl.col("task") != "poll-absent",
        )
        return rows.select(*ITEM, (~pl.col("right")).alias(name))

    return one(first, "first").join(one(second, "second"), on=ITEM)


def probe_table(records: pl.DataFrame) -> pl.DataFrame:
    """What the probes of the whole image find, at the layer where each finds most on clean runs.

    Args:
        records: the run's globals_probes; an image that was measured for several of its objects
            counts once.

    Returns:
        A row for each asked, read_at, token_type, mode and random: layer, n (images), right with
        low and high (share of images, Wilson), null with low and high (chance; bootstrap over
        images).
    """
    keys = ["asked", "read_at"]
    once = records.unique(
        ["image_id", *keys, "token_type", "mode", "random", "layer"],
        keep="first",
        maintain_order=True,
    )
    clean = once.filter(pl.col("token_type") == "none")
    best = (
        clean.group_by([*keys, "layer"], maintain_order=True)
        .agg(found=pl.col("right").mean())
        .sort("found", "layer", descending=[True, False])
        .unique(keys, keep="first", maintain_order=True)
    )
    here = once.join(best, on=[*keys, "layer"], how="semi")
    rows = []
    named = [*keys, "layer", "token_type", "mode", "random"]
    for key, group in here.group_by(named, maintain_order=True):
        row: dict[str, Any] = dict(zip(named, key, strict=True)) | {"n": group.height}
        row |= interval_columns("right", rate(int(group["right"].sum()), group.height))
        null = mean(group["null"].to_list(), group["image_id"].to_list())
        rows.append(row | interval_columns("null", null))
    schema: dict[str, Any] = dict.fromkeys((*keys, "token_type", "mode"), pl.String)
    schema |= {"layer": pl.Int64, "random": pl.Boolean, "n": pl.Int64}
    schema |= {f"{name}{end}": pl.Float64 for name in ("right", "null") for end in _ENDS}
    order = ("asked", "read_at", rank("token_type", ("none", "objects", *KINDS)))
    return pl.DataFrame(rows, schema=schema).sort(*order, rank("mode", ("", *MODES)), "random")
