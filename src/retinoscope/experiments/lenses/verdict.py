"""What the lenses show, judged."""

from __future__ import annotations

import polars as pl

from retinoscope.report.verdict import (
    NOT_MEASURED,
    Check,
    Row,
    TooFew,
    Verdict,
    above,
    all_met,
    one_row,
)
from retinoscope.report.wording import interval, number, percent
from retinoscope.results.statistics import FEWEST

CONTROL = "probe-shuffled"
"""A lens of labels that mean nothing, which must read nothing."""


def before_words(summary: pl.DataFrame) -> Verdict:
    """Is the class there before the vocabulary can tell it?"""
    conditions = (
        "at the embedding output, where nothing has been refined, a linear probe names the class "
        "of more patches than the logit lens among the same classes, intervals apart",
        "and of more than the probe of shuffled labels, intervals apart",
    )
    probe = one_row(summary, lens="probe")
    checks = [
        _apart(condition, probe, one_row(summary, lens=other))
        for condition, other in zip(conditions, ("logit", CONTROL), strict=True)
    ]
    return Verdict(
        "There before it is a word",
        "An object's patches tell its class before the logit lens can read it: refinement changes "
        "how it is written, not whether it is there.",
        "Held if both are met.",
        all_met(checks),
        tuple(checks),
    )


def _apart(condition: str, first: Row | None, second: Row | None) -> Check:
    if first is None or second is None or first["first"] is None or second["first"] is None:
        return Check(condition, NOT_MEASURED, None)
    found = f"{_share(first)} against {_share(second)}, n = {first['objects']}"
    return Check(condition, found, above(first["first_low"], second["first_high"]))


def _share(row: Row) -> str:
    span = interval(row["first_low"], row["first_high"])
    return f"{percent(row['first'])}{f' ({span})' if span else ''}"


def used(causes: pl.DataFrame) -> Verdict:
    """Does the answer use what the logit lens reads?"""
    place = first_place(causes)
    here = causes.filter(place=place)
    checks = []
    for task in here["task"].unique(maintain_order=True):
        row = one_row(here, task=task, lens="logit")
        condition = (
            f"{task}: pushed against the logit lens' direction at layer {place}, the answer loses "
            "more than pushed as far in a random one (the paired difference's interval is above 0)"
        )
        checks.append(_pushed(condition, row))
        control = one_row(here, task=task, lens=CONTROL)
        condition = f"{task}: and more than against that of the probe of shuffled labels"
        if row is not None and control is not None:
            checks.append(_stronger(condition, row, control))
    return Verdict(
        "The direction counts",
        "What the logit lens reads off object patches is what answers about the object use.",
        "Held if all are met. The loss is what the logit differences between the right answer and "
        "the best wrong one lose together, as a share of the clean ones, over items that were "
        "right.",
        all_met(checks) if checks else NOT_MEASURED,
        tuple(checks) or (Check("answers were measured", NOT_MEASURED, None),),
    )


def first_place(causes: pl.DataFrame) -> int:
    """The lowest place at which patches were pushed; -1 where none was."""
    return min(causes["place"].to_list(), default=-1)


def _pushed(condition: str, row: Row | None) -> Check:
    if row is None or row["extra"] is None:
        return Check(condition, NOT_MEASURED, None)
    span = interval(row["extra_low"], row["extra_high"], scale=1.0, digits=2)
    found = (
        f"{number(row['drop'], 2)} against {number(row['random'], 2)}, difference "
        f"{number(row['extra'], 2)}{f' ({span})' if span else ''}, n = {row['n']}"
    )
    if row["extra_low"] is None:
        return Check(condition, found, TooFew(FEWEST))
    return Check(condition, found, bool(row["extra_low"] > 0))


def _stronger(condition: str, row: Row, control: Row) -> Check:
    found = f"{number(row['extra'], 2)} against {number(control['extra'], 2)} over random"
    return Check(condition, found, above(row["extra_low"], control["extra_high"]))
