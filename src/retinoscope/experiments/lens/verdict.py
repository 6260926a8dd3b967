"""Refinement, judged."""

from __future__ import annotations

import polars as pl

from retinoscope.report.verdict import (
    NOT_MEASURED,
    Check,
    Row,
    Verdict,
    above,
    all_met,
    one_row,
)
from retinoscope.report.wording import interval, number, percent
from retinoscope.results.statistics import FEWEST


def refinement(summary: pl.DataFrame, by_layer: pl.DataFrame) -> Verdict:
    """Do visual tokens become readable as the object's word in later layers?"""
    strict = one_row(summary, measure="strict")
    conditions = (
        "the mean best layer of the objects that some layer names is in the second half of depth",
        "the share at the peak is above that of each layer in the first quarter, intervals apart",
        "at the peak, patches on the object name it more often than the background does, "
        "intervals apart",
    )
    if strict is None:
        checks = [Check(condition, NOT_MEASURED, None) for condition in conditions]
    else:
        checks = [
            _late(conditions[0], strict),
            _rises(conditions[1], strict, by_layer),
            _on_object(conditions[2], strict),
        ]
    return Verdict(
        "Refinement",
        "Layer by layer, visual tokens at the object's place turn into readable words for it.",
        "Held if all three conditions are met (logit lens, strict: the argmax is the class "
        "word's first token; shares are means over objects, which have an interval from "
        f"{FEWEST} images on).",
        all_met(checks),
        tuple(checks),
    )


def _late(condition: str, strict: Row) -> Check:
    if strict["best_layer"] is None:
        return Check(condition, "no layer names any object", False)
    last = strict["layers"] - 1
    span = interval(strict["best_layer_low"], strict["best_layer_high"], scale=1.0)
    found = f"layer {number(strict['best_layer'])} of 0 to {last}" + (f" ({span})" if span else "")
    return Check(condition, found, strict["best_layer"] > last / 2)


def _rises(condition: str, strict: Row, by_layer: pl.DataFrame) -> Check:
    last = strict["layers"] - 1
    early = by_layer.filter((pl.col("region") == "object") & (pl.col("layer") <= last / 4))
    highest = early.sort("strict_macro", descending=True, nulls_last=True).row(0, named=True)
    span = interval(strict["peak_share_low"], strict["peak_share_high"])
    found = (
        f"{percent(strict['peak_share'])} at layer {strict['peak_layer']}"
        f"{f' ({span})' if span else ''} against at most {percent(highest['strict_macro'])} in "
        f"layers 0 to {last // 4}"
    )
    high = early["strict_macro_high"].max() if not early["strict_macro_high"].null_count() else None
    return Check(condition, found, above(strict["peak_share_low"], high))


def _on_object(condition: str, strict: Row) -> Check:
    found = f"{percent(strict['peak_share'])} against {percent(strict['peak_background'])}"
    if strict["peak_background"] is None:
        return Check(condition, found, None)
    return Check(condition, found, above(strict["peak_share_low"], strict["peak_background_high"]))
