"""Localisation, judged."""

from __future__ import annotations

import polars as pl

from retinoscope.report.verdict import (
    HELD,
    LEVEL,
    NOT_HELD,
    NOT_MEASURED,
    Check,
    TooFew,
    Verdict,
    one_row,
    share,
)
from retinoscope.report.wording import probability
from retinoscope.results.statistics import fewest_pairs


def localisation(ablation: pl.DataFrame) -> Verdict:
    """Is what the model needs to identify an object in the tokens at the object's place?"""
    checks = [_task(ablation, task) for task in ("describe", "poll", "ask")]
    return Verdict(
        "Localisation",
        "What the model needs to identify an object is in the visual tokens at the object's place.",
        "Held if in at least two of the three tasks at least 70 % of the right answers become "
        "wrong when the object's tokens and those around them (+1) give way to the mean token, "
        "at most 10 % when as many random tokens do, and McNemar's p is below .05. Judged only "
        "where at least two tasks were measured, on objects enough for such a p.",
        _two(checks),
        tuple(checks),
    )


def _task(ablation: pl.DataFrame, task: str) -> Check:
    this = one_row(ablation, value="mean", selection="object+1", task=task)
    random = one_row(ablation, value="mean", selection="random", matched="object+1", task=task)
    if this is None or random is None or not this["n"] or not random["n"]:
        return Check(task, NOT_MEASURED, None)
    p, needed = this["mcnemar_p"], fewest_pairs(LEVEL)
    found = f"{share(this)} against {share(random)} at random, p {probability(p)}"
    if p is None:
        return Check(task, found, None)
    if this["pairs"] < needed:
        return Check(task, found, TooFew(needed))
    apart = this["decrease"] >= 0.70 and random["decrease"] <= 0.10
    return Check(task, found, apart and p < LEVEL)


def _two(checks: list[Check]) -> str:
    """Whether two are met; too few objects decide only where they stand between that and this."""
    met = sum(check.met is True for check in checks)
    missed = sum(check.met is False for check in checks)
    few = [check.met for check in checks if isinstance(check.met, TooFew)]
    if met >= 2:
        return HELD
    if few and met + len(few) >= 2:
        return str(few[0])
    return NOT_HELD if met + missed >= 2 else NOT_MEASURED
