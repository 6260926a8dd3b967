"""The tables of the exchanges: does an answer follow the token or the slot?"""

from __future__ import annotations

from typing import Any

import polars as pl

from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import estimate_columns, interval_columns
from retinoscope.results.statistics import lost_share, mean, rate

SWAP_TASKS = ("ask", "where", "colour_at", "place_of")
EXCHANGED = ("other", "background", "deleted")
ITEM = ("image_id", "asked_id", "other_id", "task")

READ = 0.5
"""A layer is one in which the object is still to be read where deleting it there changes more than
this share of the answers."""


def _once(records: pl.DataFrame) -> pl.DataFrame:
    return records.unique([*ITEM, "exchanged", "layer"], keep="first", maintain_order=True)


def swap_table(records: pl.DataFrame) -> pl.DataFrame:
    """What becomes of answers when blocks change places, layer by layer.

    Args:
        records: the run's swaps.

    Returns:
        A row for each task, exchange, layer and whether both objects have the same answer: n
        (questions that the clean model answers rightly of both objects), stayed and became with
        low and high (shares, Wilson), shift with low and high (lost share of the logit
        differences; 2 is a whole exchange).
    """
    keys = ["task", "exchanged", "same_answer", "layer"]
    rows: list[dict[str, Any]] = []
    grouped = (
        _once(records)
        .group_by(keys, maintain_order=True)
        .agg(
            n=pl.len(),
            right=pl.col("right").sum(),
            becoming=pl.col("became").sum(),
            clean=pl.col("clean_ld"),
            left=pl.col("ld"),
            images=pl.col("image_id"),
        )
    )
    for row in grouped.iter_rows(named=True):
        stayed, became = (rate(row[name], row["n"]) for name in ("right", "becoming"))
        rows.append(
            {name: row[name] for name in keys}
            | {"n": row["n"]}
            | interval_columns("stayed", stayed)
            | interval_columns("became", became)
            | estimate_columns("shift", lost_share(row["clean"], row["left"], row["images"]))
        )
    return pl.DataFrame(rows, schema=_SWAPS).sort(
        rank("task", SWAP_TASKS), rank("exchanged", EXCHANGED), "same_answer", "layer"
    )


_SWAPS: dict[str, Any] = {
    **dict.fromkeys(("task", "exchanged"), pl.String),
    "same_answer": pl.Boolean,
    **dict.fromkeys(("layer", "n"), pl.Int64),
    **{f"{one}{end}": pl.Float64 for one in ("stayed", "became") for end in ("", "_low", "_high")},
    "shift_n": pl.Int64,
    **dict.fromkeys(("shift", "shift_low", "shift_high"), pl.Float64),
}


def binding_table(records: pl.DataFrame) -> pl.DataFrame:
    """Token or slot, over the layers in which the object is still to be read.

    Args:
        records: the run's swaps.

    Returns:
        A row for each task that has such layers, and "all": first_layer, last_layer, layers (how
        many), n (questions), and means with low and high (bootstrap over images; an item's layers
        count as one) of token (the answer stays), slot (it becomes the other object's) and lead
        (token less slot).
    """
    once = _once(records).filter(~pl.col("same_answer"))
    deleted = once.filter(pl.col("exchanged") == "deleted")
    read = (
        deleted.group_by("task", "layer")
        .agg(gone=1 - pl.col("right").mean())
        .filter(pl.col("gone") > READ)
        .select("task", "layer")
    )
    swapped = once.filter(pl.col("exchanged") == "other").join(read, on=["task", "layer"])
    by_item = swapped.group_by(ITEM, maintain_order=True).agg(
        token=pl.col("right").mean(),
        slot=pl.col("became").mean(),
        first=pl.col("layer").min(),
        last=pl.col("layer").max(),
        layers=pl.col("layer").n_unique(),
    )
    rows: list[dict[str, Any]] = []
    for task in (*SWAP_TASKS, "all"):
        here = by_item if task == "all" else by_item.filter(pl.col("task") == task)
        if not here.height:
            continue
        images = here["image_id"].to_list()
        rows.append(
            {"task": task, "first_layer": here["first"].min(), "last_layer": here["last"].max()}
            | {"layers": here["layers"].max(), "n": here.height}
            | estimate_columns("token", mean(here["token"].to_list(), images))
            | estimate_columns("slot", mean(here["slot"].to_list(), images))
            | estimate_columns("lead", mean((here["token"] - here["slot"]).to_list(), images))
        )
    return pl.DataFrame(rows, schema=_BINDING)


_BINDING: dict[str, Any] = {
    "task": pl.String,
    **dict.fromkeys(("first_layer", "last_layer", "layers", "n"), pl.Int64),
    **{
        f"{one}{end}": pl.Int64 if end == "_n" else pl.Float64
        for one in ("token", "slot", "lead")
        for end in ("_n", "", "_low", "_high")
    },
}
