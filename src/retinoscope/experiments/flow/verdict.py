"""Attention flow, judged: is rollout to the last position evidence of extraction here?"""

from __future__ import annotations

import polars as pl

from retinoscope.report.verdict import (
    HELD,
    NOT_MEASURED,
    Check,
    Row,
    TooFew,
    Verdict,
    all_met,
    one_row,
)
from retinoscope.report.wording import interval, number
from retinoscope.results.statistics import FEWEST

CLAIM = (
    "Attention rollout to the last position is evidence of extraction: the tokens that it names "
    "carry the answer, and better than attention alone names them."
)


def flow_verdict(pairs: pl.DataFrame, tasks: list[str], value: str) -> Verdict:
    """Does rollout's order delete the answer faster than chance, and than raw attention?

    Args:
        pairs: `pair_table`.
        tasks: those that were asked.
        value: what stands in ablated tokens' place.
    """
    checks = [
        check
        for task in tasks or ["poll"]
        for check in (_check(pairs, task, value, other) for other in ("random", "raw attention"))
    ]
    outcome = all_met(checks)
    return Verdict(
        "Rollout",
        CLAIM,
        "Held if in every task that was asked the area under rollout's deletion curve lies below "
        "that of a random order and below that of raw attention (mean over layers and heads of the "
        "last position's weights), the 95 % interval of the paired difference over images below 0. "
        f"As every condition must be met, none is corrected for the others. {_sentence(outcome)}",
        outcome,
        tuple(checks),
    )


def _sentence(outcome: str) -> str:
    if outcome == HELD:
        return "So it is evidence of extraction here."
    if outcome in (NOT_MEASURED,) or outcome.startswith("too few"):
        return "Nothing follows from so few objects."
    return "So it is not evidence of extraction here."


def _check(pairs: pl.DataFrame, task: str, value: str, other: str) -> Check:
    named = "random order" if other == "random" else "attention alone"
    condition = f"{task}: rollout to the last position deletes the answer better than {named}"
    row = one_row(
        pairs, task=task, direction="deletion", value=value, first="rollout", second=other
    )
    if row is None or row["difference"] is None:
        return Check(condition, NOT_MEASURED, None)
    if row["difference_high"] is None:
        return Check(condition, _found(row), TooFew(FEWEST))
    return Check(condition, _found(row), row["difference_high"] < 0)


def _found(row: Row) -> str:
    span = interval(row["difference_low"], row["difference_high"], scale=1.0, digits=2)
    if not span or row["difference_low"] <= 0 <= row["difference_high"]:
        how = "no differently"
    else:
        how = "better" if row["difference"] < 0 else "worse"
    return (
        f"{how}: AUC {number(row['first_area'], 2)} against {number(row['second_area'], 2)}, "
        f"difference {number(row['difference'], 2)}{f' ({span})' if span else ''}, "
        f"n = {row['difference_n']}"
    )
