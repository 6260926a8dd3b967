"""The tables of reasoning: losses by part, by path and layer, swaps, readings, and the order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from retinoscope.report.tables.pairing import interval_columns
from retinoscope.results.statistics import lost_share, mcnemar, mean, rate

ITEM = ("image_id", "object_id", "question")
PLACES = ("anchor", "between", "answer", "distractor", "random", "one counted")
STEP_PATHS = ("anchor → question", "answer → last")
"""The paths whose order is judged: reading what is named, and reading the answer."""

ENOUGH = 0.25
"""Share of the clean difference that a path must carry for its layer to be told."""

_RATE = ("", "_low", "_high")


def questions_table(records: pl.DataFrame) -> pl.DataFrame:
    """Questions of each kind and the share that the untouched model answers rightly.

    Returns:
        kind, asked, right, accuracy with low and high.
    """
    rows = []
    for (kind,), group in records.filter(test="clean").group_by(["kind"]):
        right = int(group["right"].sum())
        found = {"kind": kind, "asked": group.height, "right": right}
        rows.append(found | interval_columns("accuracy", rate(right, group.height)))
    return _frame(rows, {"kind": str, "asked": int, "right": int}, ["accuracy"]).sort("kind")


def ablations_table(records: pl.DataFrame) -> pl.DataFrame:
    """What is lost where the tokens of a part give way to the mean token.

    Returns:
        For each kind and part: n (questions right when clean), wrong, loss (wrong / n) with low
        and high; drop (mean loss of the logit difference as a share of the clean one) with low,
        high and its n; predicted (share that answers one less) with low and high; pairs and p of
        McNemar's test against the distractor in the same questions.
    """
    rows = []
    ablated = records.filter((pl.col("test") == "ablate") & pl.col("clean_right"))
    for (kind, place), group in ablated.group_by(["kind", "place"]):
        beside = ablated.filter((pl.col("kind") == kind) & (pl.col("place") == "distractor"))
        rows.append({"kind": kind, "place": place} | _lost(group) | against(group, beside))
    order = pl.col("place").replace_strict(
        {p: i for i, p in enumerate(PLACES)}, default=len(PLACES)
    )
    shape = {"kind": str, "place": str, "n": int, "wrong": int}
    table = _frame(rows, shape, ["loss", "drop", "predicted"], ["drop_n", "pairs"], ["p"])
    return table.sort("kind", order)


def paths_table(records: pl.DataFrame) -> pl.DataFrame:
    """What is lost where a path is knocked out from a layer on, or in one layer.

    Returns:
        For each kind, path (place), span and layer: as `ablations_table`, without a test.
    """
    return _by_layer(records.filter((pl.col("test") == "cut") & pl.col("clean_right")))


def swaps_table(records: pl.DataFrame) -> pl.DataFrame:
    """How often states of another question bring its answer along.

    Returns:
        For each kind, place and layer: as `paths_table`; `predicted` is the share.
    """
    return _by_layer(records.filter((pl.col("test") == "swap") & pl.col("clean_right")))


def readings_table(readings: pl.DataFrame) -> pl.DataFrame:
    """How often the hidden step's class is likelier than the control's, by place and layer.

    Returns:
        For each kind, place and layer: n, won, share with low and high; one half is chance.
    """
    rows = []
    for (kind, place, layer), group in readings.group_by(["kind", "place", "layer"]):
        won = int((group["log_probability"] > group["control_log_probability"]).sum())
        found = {"kind": kind, "place": place, "layer": layer, "n": group.height, "won": won}
        rows.append(found | interval_columns("share", rate(won, group.height)))
    shape = {"kind": str, "place": str, "layer": int, "n": int, "won": int}
    return _frame(rows, shape, ["share"]).sort("kind", "place", "layer")


def order_table(records: pl.DataFrame) -> pl.DataFrame:
    """In which layer each of the two steps is made, for every kind and for all together ("all").

    The layer of a path is the last one from which knocking it out still costs half of
    what it costs everywhere; it is told of questions in which both paths carry `ENOUGH`.

    Returns:
        For each kind: n questions, first and second (mean layers) and later (their difference),
        each with low and high.
    """
    cuts = records.filter(
        (pl.col("test") == "cut") & (pl.col("span") == "from") & pl.col("clean_right")
    )
    layers: dict[tuple[Any, ...], dict[str, int]] = {}
    for (*item, kind, place), group in cuts.group_by([*ITEM, "kind", "place"]):
        layer = half_layer(group) if place in STEP_PATHS else None
        if layer is not None:
            layers.setdefault((*item, kind), {})[str(place)] = layer
    both = [(key, found) for key, found in layers.items() if len(found) == len(STEP_PATHS)]
    rows = []
    for kind in (*sorted({key[-1] for key, _ in both}), "all"):
        chosen = [(key, found) for key, found in both if kind in ("all", key[-1])]
        images = [key[0] for key, _ in chosen]
        first, second = ([found[path] for _, found in chosen] for path in STEP_PATHS)
        later = [b - a for a, b in zip(first, second, strict=True)]
        row: dict[str, Any] = {"kind": kind, "n": len(chosen)}
        for name, values in (("first", first), ("second", second), ("later", later)):
            row |= interval_columns(name, mean(values, images))
        rows.append(row)
    return _frame(rows, {"kind": str, "n": int}, ["first", "second", "later"])


def half_layer(cuts: pl.DataFrame) -> int | None:
    """The last layer from which it still costs half; None where the path carries too little.

    Args:
        cuts: one path of one question, knocked out from each layer on.
    """
    rows = cuts.sort("layer")
    lost = (rows["clean_difference"] - rows["difference"]).to_list()
    if lost[0] < ENOUGH * rows["clean_difference"][0]:
        return None
    return max(
        layer for layer, cost in zip(rows["layer"], lost, strict=True) if cost >= lost[0] / 2
    )


def against(group: pl.DataFrame, beside: pl.DataFrame) -> dict[str, Any]:
    """McNemar's test of two conditions on the questions that both measured: pairs and p."""
    keys = [*ITEM, "kind"]
    one = group.select(*keys, first=~pl.col("right"))
    both = one.join(beside.select(*keys, second=~pl.col("right")), keys, "inner")
    only_first = int((both["first"] & ~both["second"]).sum())
    only_second = int((~both["first"] & both["second"]).sum())
    p = mcnemar(only_first, only_second) if both.height else None
    return {"pairs": both.height, "p": p}


def _by_layer(rows: pl.DataFrame) -> pl.DataFrame:
    keys = ["kind", "place", "span", "layer"]
    found = [dict(zip(keys, key, strict=True)) | _lost(group) for key, group in rows.group_by(keys)]
    shape = {"kind": str, "place": str, "span": str, "layer": int, "n": int, "wrong": int}
    return _frame(found, shape, ["loss", "drop", "predicted"], ["drop_n"]).sort(keys)


def _lost(group: pl.DataFrame) -> dict[str, Any]:
    wrong = int((~group["right"]).sum())
    columns = ("clean_difference", "difference", "image_id")
    drop = lost_share(*(group[name].to_list() for name in columns))
    told = group["predicted"].drop_nulls()
    return {
        "n": group.height,
        "wrong": wrong,
        "drop_n": drop.n,
        **interval_columns("loss", rate(wrong, group.height)),
        **interval_columns("drop", drop),
        **interval_columns("predicted", rate(int(told.sum()), len(told))),
    }


def _frame(
    rows: list[dict[str, Any]],
    shape: Mapping[str, type],
    measures: Sequence[str],
    counts: Sequence[str] = (),
    numbers: Sequence[str] = (),
) -> pl.DataFrame:
    kinds: dict[str, Any] = {
        name: {str: pl.String, int: pl.Int64}[kind] for name, kind in shape.items()
    }
    kinds |= {f"{name}{end}": pl.Float64 for name in measures for end in _RATE}
    kinds |= dict.fromkeys(counts, pl.Int64) | dict.fromkeys(numbers, pl.Float64)
    return pl.DataFrame(rows, schema=kinds)
