"""Reasoning, judged."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.reasoning.tables import STEP_PATHS, against
from retinoscope.report.verdict import LEVEL, Check, TooFew, Verdict, above, all_met
from retinoscope.report.wording import interval, number, percent, probability
from retinoscope.results.statistics import Rate, fewest_pairs, rate

CLAIM = "A question with several steps is answered step by step."
RULE = (
    "Held if all that was measured of three conditions is met, over the questions that the "
    "untouched model answers rightly and whose answer is a thing that they don't name."
)


def reasoning(records: pl.DataFrame, order: pl.DataFrame) -> Verdict:
    """Is what the question names needed, read first, and is the hidden step needed too?"""
    hopping = _hopping(records)
    checks = [
        _needed("anchor", "what the question names is needed", hopping),
        _needed("between", "what lies between what is named and the answer is needed", hopping),
        _ordered(order),
    ]
    measured = [check for check in checks if check.met is not None]
    return Verdict("Reasoning", CLAIM, RULE, all_met(measured or checks), tuple(checks))


def _hopping(records: pl.DataFrame) -> pl.DataFrame:
    """Ablations of the questions that have an answer object."""
    ablated = records.filter((pl.col("test") == "ablate") & pl.col("clean_right"))
    kinds = ablated.filter(place="answer")["kind"].unique()
    return ablated.filter(pl.col("kind").is_in(kinds.implode()))


def _needed(place: str, words: str, ablated: pl.DataFrame) -> Check:
    condition = (
        f"{words}: ablating it loses more right answers than ablating another thing in the same "
        "image (McNemar p < .05)"
    )
    mine, theirs = (ablated.filter(place=name) for name in (place, "distractor"))
    test = against(mine, theirs)
    if not test["pairs"]:
        return Check(condition, "not measured", None)
    keys = ["image_id", "object_id", "question"]
    mine, theirs = mine.join(theirs, keys, "semi"), theirs.join(mine, keys, "semi")
    lost, other = _share(mine), _share(theirs)
    found = f"{_words(lost)} against {_words(other)}, p {_p(test['p'])}"
    if test["pairs"] < fewest_pairs(LEVEL):
        return Check(condition, found, TooFew(fewest_pairs(LEVEL)))
    assert lost.value is not None and other.value is not None, "there are pairs"
    return Check(condition, found, test["p"] < LEVEL and lost.value > other.value)


def _ordered(order: pl.DataFrame) -> Check:
    first, second = STEP_PATHS
    condition = (
        f"what is named is read ({first}) in earlier layers than the answer ({second}): the mean "
        "difference of the two layers is above 0, interval included"
    )
    (row,) = order.filter(kind="all").to_dicts() or [{"n": 0}]
    if not row["n"]:
        return Check(condition, "no question in which both paths carry the answer", None)
    span = interval(row["later_low"], row["later_high"], scale=1.0)
    found = (
        f"layers {number(row['first'])} and {number(row['second'])}, "
        f"{number(row['later'])} apart{f' ({span})' if span else ''}; n = {row['n']}"
    )
    return Check(condition, found, above(row["later_low"], 0.0))


def _share(rows: pl.DataFrame) -> Rate:
    return rate(int((~rows["right"]).sum()), rows.height)


def _words(found: Rate) -> str:
    return f"{percent(found.value)} ({interval(found.low, found.high)}; n = {found.n})"


def _p(value: float) -> str:
    text = probability(value)
    return text if text.startswith("<") else f"= {text}"
