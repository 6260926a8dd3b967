"""The tables of the pairs: how often answers change, by how the two objects stand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import estimate_columns, interval_columns
from retinoscope.results.statistics import lost_share, rate

TASKS = ("poll", "ask", "describe", "count")
SETS = ("own", "own+1", "own only", "shared", "other", "other+1", "background")
OVERLAP = ("apart", "IoU under .2", "IoU .2 to .4", "IoU over .4")
DISTANCE = ("near", "middle", "far")
DEPTH = ("apart", "asked in front", "asked behind")
CLASSES = ("other class", "same class")
GROUPS: dict[str, tuple[str, ...]] = {
    "all": ("all",),
    "overlap": OVERLAP,
    "distance": DISTANCE,
    "depth": DEPTH,
    "class": CLASSES,
}
"""By what pairs are grouped, and the groups in their order."""

PAIR = ("image_id", "asked_id", "other_id")
ITEM = (*PAIR, "task")
"""One question about one object of a pair."""

_STRONG = 0.2


def items(records: pl.DataFrame) -> pl.DataFrame:
    """Every replaced set of every pair, with what came of the question, right when clean.

    Sets of the asked object alone stand with each of its pairs, so that within any group of pairs
    both objects' sets are of the same questions. An image that was measured for several of its
    objects counts once.

    Args:
        records: the run's pairs.

    Returns:
        Columns of ITEM, set, value, changed (it is not right any more), clean_ld, ld, predicted;
        and what groups the pair: iou, and the keys of GROUPS.
    """
    once = records.filter(pl.col("set") != "none", "clean_right").unique(
        ["image_id", "asked_id", "other_id", "task", "set", "value"],
        keep="first",
        maintain_order=True,
    )
    pairs = (
        once.filter(pl.col("other_id") >= 0)
        .unique(PAIR, keep="first", maintain_order=True)
        .select(
            *PAIR,
            "iou",
            overlap=pl.when(pl.col("iou") == 0)
            .then(pl.lit(OVERLAP[0]))
            .otherwise(_binned("iou", (_STRONG, 0.4), OVERLAP[1:])),
            distance_group=_binned("distance", (0.25, 0.5), DISTANCE),
            depth=pl.col("front").replace_strict(
                {"": DEPTH[0], "asked": DEPTH[1], "other": DEPTH[2]}, return_dtype=pl.String
            ),
            same=pl.col("class_name") == pl.col("other_class"),
        )
        .with_columns(
            all=pl.lit("all"),
            distance=pl.col("distance_group"),
            **{
                "class": pl.when("same").then(pl.lit(CLASSES[1])).otherwise(pl.lit(CLASSES[0])),
            },
        )
    )
    scored = once.select(
        *PAIR,
        *("task", "set", "value", "predicted", "clean_ld", "ld"),
        changed=~pl.col("right"),
    )
    own = scored.filter(pl.col("other_id") < 0).drop("other_id")
    return pl.concat(
        [
            own.join(pairs, on=["image_id", "asked_id"]),
            scored.join(pairs, on=PAIR),
        ],
        how="diagonal",
    )


def _binned(column: str, borders: tuple[float, float], names: tuple[str, ...]) -> pl.Expr:
    """Which of three bins a column's values lie in; a border belongs to the bin above it."""
    low, high = borders
    lower = pl.when(pl.col(column) < low).then(pl.lit(names[0]))
    return lower.when(pl.col(column) < high).then(pl.lit(names[1])).otherwise(pl.lit(names[2]))


def clean_table(records: pl.DataFrame) -> pl.DataFrame:
    """How often the untouched model is right, by how many objects the image holds.

    Args:
        records: the run's pairs.

    Returns:
        A row for each task and number of objects: n, right, right_low, right_high (Wilson).
    """
    once = records.filter(pl.col("set") == "none").unique(
        ["image_id", "asked_id", "task"], keep="first", maintain_order=True
    )
    grouped = once.group_by("task", "objects", maintain_order=True).agg(
        n=pl.len(), hits=pl.col("right").sum()
    )
    rows: list[dict[str, Any]] = []
    for row in grouped.iter_rows(named=True):
        share = rate(row["hits"], row["n"])
        rows.append(
            {"task": row["task"], "objects": row["objects"], "n": share.n}
            | interval_columns("right", share)
        )
    return pl.DataFrame(rows, schema=_CLEAN).sort(rank("task", TASKS), "objects")


_CLEAN: dict[str, Any] = {
    "task": pl.String,
    **dict.fromkeys(("objects", "n"), pl.Int64),
    **dict.fromkeys(("right", "right_low", "right_high"), pl.Float64),
}


def strong(found: pl.DataFrame) -> pl.DataFrame:
    """The items of pairs that overlap by an IoU of .2 or more."""
    return found.filter(pl.col("iou") >= _STRONG)


def leakage_table(found: pl.DataFrame) -> pl.DataFrame:
    """How often answers change, and by how much, for each set and group of pairs.

    Args:
        found: `items`.

    Returns:
        A row for each group, task, set and value that was measured: by (a key of GROUPS; but for
        "class", pairs of different classes alone), group,
        n (questions about an object of a pair, right when clean), changed with low and high (0 to
        1, Wilson), drop with low, high and its own n (share of the logit differences that is lost;
        below 0 they grew; bootstrap over images).
    """
    rows: list[dict[str, Any]] = []
    for by in GROUPS:
        keys = [by, "task", "set", "value"]
        # Of a class of which another is left, an answer says less: such pairs stand apart.
        these = found if by == "class" else found.filter(pl.col("class") == CLASSES[0])
        for row in _lists(these, keys).iter_rows(named=True):
            share = rate(row["changed"], row["n"])
            rows.append(
                {"by": by, "group": row[by]}
                | {name: row[name] for name in keys[1:]}
                | {"n": share.n}
                | interval_columns("changed", share)
                | estimate_columns("drop", lost_share(row["clean"], row["left"], row["images"]))
            )
    groups = [group for several in GROUPS.values() for group in dict.fromkeys(several)]
    return pl.DataFrame(rows, schema=_LEAKAGE).sort(
        rank("by", tuple(GROUPS)),
        rank("group", tuple(dict.fromkeys(groups))),
        rank("task", TASKS),
        rank("set", SETS),
        "value",
    )


def _lists(found: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    return found.group_by(keys, maintain_order=True).agg(
        n=pl.len(),
        changed=pl.col("changed").sum(),
        clean=pl.col("clean_ld"),
        left=pl.col("ld"),
        images=pl.col("image_id"),
    )


_LEAKAGE: dict[str, Any] = {
    **dict.fromkeys(("by", "group", "task", "set", "value"), pl.String),
    "n": pl.Int64,
    **dict.fromkeys(("changed", "changed_low", "changed_high"), pl.Float64),
    "drop_n": pl.Int64,
    **dict.fromkeys(("drop", "drop_low", "drop_high"), pl.Float64),
}


def main_value(found: pl.DataFrame) -> str:
    """The value that stands in the most sets' place; "" where nothing was measured.

    Args:
        found: `items` or `leakage_table`, or some of their rows.
    """
    sets = found.group_by("value", maintain_order=True).agg(count=pl.col("set").n_unique())
    return str(sets.sort("count", descending=True, maintain_order=True)["value"].first() or "")


def paired(found: pl.DataFrame, first: str, second: str, what: str = "changed") -> pl.DataFrame:
    """Two sets on the same items, under the first value: columns `first` and `second` (bool).

    Args:
        found: `items`.
        first: name of a set.
        second: name of another one.
        what: the column that is compared; items in which it is null are left out.
    """
    value = main_value(found)

    def one(name: str, column: str) -> pl.DataFrame:
        rows = found.filter(pl.col("set") == name, pl.col("value") == value)
        return rows.select(*ITEM, pl.col(what).alias(column)).drop_nulls(column)

    return one(first, "first").join(one(second, "second"), on=ITEM)
