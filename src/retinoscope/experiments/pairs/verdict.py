"""Separation, overlap, counting and binding, judged."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.pairs.tables import CLASSES, TASKS, paired, strong
from retinoscope.report.verdict import (
    LEVEL,
    NOT_MEASURED,
    Check,
    Row,
    TooFew,
    Verdict,
    all_met,
    one_row,
)
from retinoscope.report.wording import interval, number, percent, probability
from retinoscope.results.statistics import FEWEST, fewest_pairs, holm, mcnemar, mean, rate

TOLERANCE = 0.1
"""Answers that another object's tokens may change beyond those that background changes."""


def separation(found: pl.DataFrame) -> Verdict:
    """Does an answer rest on the object's own tokens, and not on another's?

    Args:
        found: `tables.items`.
    """
    sets = ("own+1", "other+1")
    return _apart(
        "Separation",
        "What is answered about one object rests on its own tokens, not on another object's.",
        _single(found),
        sets,
        ("the object +1", "the other object +1 (without the first one's patches)"),
    )


def overlap(found: pl.DataFrame) -> Verdict:
    """Does the same hold where two objects overlap, for the patches of each alone?

    Args:
        found: `tables.items`.
    """
    return _apart(
        "Overlap",
        "Two objects in the same place stay apart too: an answer rests on the patches of its own "
        "object alone, not on those of the other one alone.",
        strong(_single(found)),
        ("own only", "other"),
        ("the object's patches alone (IoU of .2 or more)", "the other one's alone"),
    )


def counting(found: pl.DataFrame) -> Verdict:
    """Does a count fall by one without one of several objects' tokens?

    Args:
        found: `tables.items`.
    """
    pairs = paired(
        found.filter(pl.col("class") == CLASSES[1], pl.col("task") == "count"),
        *("other+1", "background", "predicted"),
    )
    condition = (
        "without another object of the class (+1) the number falls by one more often than without "
        f"as much background, as far away (McNemar p < {LEVEL:.2f}".replace("0.", ".")
        + ")"
    )
    check = Check(condition, NOT_MEASURED, None)
    if pairs.height:
        first, second = (rate(int(pairs[name].sum()), pairs.height) for name in pairs.columns[-2:])
        p, lead = _mcnemar(pairs)
        text = (
            f"{percent(first.value)} ({interval(first.low, first.high)}) against "
            f"{percent(second.value)}, n = {first.n}, p {probability(p)}"
        )
        needed = fewest_pairs(LEVEL)
        met = lead > 0 and p < LEVEL if pairs.height >= needed else TooFew(needed)
        check = Check(condition, text, met)
    return Verdict(
        "Counting",
        "Each of several objects of one class is counted by its own tokens.",
        "Held if the condition is met.",
        all_met([check]),
        (check,),
    )


def binding(table: pl.DataFrame) -> Verdict:
    """Do tokens that changed places go on standing for their own place?

    Args:
        table: `swap_tables.binding_table`.
    """
    row = one_row(table, task="all")
    condition = (
        "in layers where deleting the object's block changes more than half of the answers, more "
        "answers stay (token) than become the other object's (slot), interval above 0"
    )
    check = Check(condition, NOT_MEASURED, None)
    if row is not None:
        rest = max(0.0, 1 - row["token"] - row["slot"])
        text = (
            f"token {_share(row, 'token')}, slot {_share(row, 'slot')}, other {percent(rest)}; "
            f"layers {row['first_layer']} to {row['last_layer']}, n = {row['n']}"
        )
        low = row["lead_low"]
        check = Check(condition, text, TooFew(FEWEST) if low is None else low > 0)
    return Verdict(
        "Binding",
        "An object's place goes with its tokens: exchanged with another's, they go on answering "
        "for the place that they come from.",
        "Held if the condition is met. A model that goes by the slot in the sequence answers with "
        "the other object instead; what is neither follows no object.",
        all_met([check]),
        (check,),
    )


def _share(row: Row, name: str) -> str:
    """A share with its interval, where it has one."""
    span = interval(row[f"{name}_low"], row[f"{name}_high"])
    return percent(row[name]) + (f" ({span})" if span else "")


def _single(found: pl.DataFrame) -> pl.DataFrame:
    """Pairs of different classes: of one class another is left to be named."""
    return found.filter(pl.col("class") == CLASSES[0])


def _apart(
    name: str, claim: str, found: pl.DataFrame, sets: tuple[str, str], words: tuple[str, str]
) -> Verdict:
    own, other = sets
    more = (
        f"in each task, replacing {words[0]} changes more answers than replacing {words[1]} "
        "(McNemar p < .05, Holm over tasks)"
    )
    no_worse = (
        f"and the latter changes at most {percent(TOLERANCE, 0)} of answers more than as much "
        "background does, as far away (upper end of the interval over images, in each task)"
    )
    checks = [_more(more, found, own, other), _no_worse(no_worse, found, other)]
    return Verdict(name, claim, "Held if both conditions are met.", all_met(checks), tuple(checks))


def _more(condition: str, found: pl.DataFrame, own: str, other: str) -> Check:
    tests: list[tuple[str, float, float, int]] = []
    texts: list[str] = []
    for task in TASKS:
        pairs = paired(found.filter(pl.col("task") == task), own, other)
        if not pairs.height:
            continue
        p, lead = _mcnemar(pairs)
        tests.append((task, p, lead, pairs.height))
        first, second = (rate(int(pairs[one].sum()), pairs.height) for one in pairs.columns[-2:])
        texts.append(
            f"{task} {percent(first.value)} against {percent(second.value)} "
            f"({interval(second.low, second.high)}; n = {first.n})"
        )
    if not tests:
        return Check(condition, NOT_MEASURED, None)
    adjusted = holm([p for _, p, _, _ in tests])
    # Holm asks the most of the smallest p; whether a task could have passed is judged by that.
    needed = fewest_pairs(LEVEL / len(tests))
    enough = [n >= needed for *_, n in tests]
    passed = all(lead > 0 and p < LEVEL for (_, _, lead, _), p in zip(tests, adjusted, strict=True))
    found_text = f"{'; '.join(texts)}; largest p {probability(max(adjusted))}"
    return Check(condition, found_text, passed if all(enough) else TooFew(needed))


def _no_worse(condition: str, found: pl.DataFrame, other: str) -> Check:
    highs: list[float | None] = []
    texts: list[str] = []
    for task in TASKS:
        pairs = paired(found.filter(pl.col("task") == task), other, "background")
        if not pairs.height:
            continue
        difference = pairs["first"].cast(pl.Float64) - pairs["second"].cast(pl.Float64)
        gap = mean(difference.to_list(), pairs["image_id"].to_list())
        highs.append(gap.high)
        span = interval(gap.low, gap.high)
        texts.append(
            f"{task} {number(100 * (gap.value or 0))} points" + (f" ({span})" * bool(span))
        )
    if not highs:
        return Check(condition, NOT_MEASURED, None)
    known = [high for high in highs if high is not None]
    met = TooFew(FEWEST) if len(known) < len(highs) else max(known) <= TOLERANCE
    return Check(condition, "; ".join(texts), met)


def _mcnemar(pairs: pl.DataFrame) -> tuple[float, float]:
    """p, and the first one's lead as a share of the items."""
    first = int((pairs["first"] & ~pairs["second"]).sum())
    second = int((~pairs["first"] & pairs["second"]).sum())
    return mcnemar(first, second), (first - second) / pairs.height
