"""The paper's three claims, judged on this run by rules that are printed beside the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from retinoscope.report.tables.collect import Tables
from retinoscope.report.tables.knockout import compare_cuts
from retinoscope.report.wording import interval, number, percent, probability
from retinoscope.results.protocol import MENDED, Protocol
from retinoscope.results.statistics import FEWEST, fewest_pairs

HELD, NOT_HELD, NOT_MEASURED = "held", "did not hold", "not measured"

LEVEL = 0.05
"""Of the tests."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class TooFew:
    """So few objects were measured that the test could not have passed, whatever they showed.

    Attributes:
        needed: with how many it can.
    """

    needed: int

    def __str__(self) -> str:
        """As a verdict reads."""
        return f"too few objects to judge (at least {self.needed})"


@dataclass(frozen=True)
class Check:
    """One condition of a rule.

    Attributes:
        condition: what must be so.
        found: what was measured, in numbers.
        met: whether it is so; TooFew where no data of this size could have met it; None where it
            was not measured.
    """

    condition: str
    found: str
    met: bool | TooFew | None

    @property
    def mark(self) -> str:
        """What came of it in two words."""
        match self.met:
            case None:
                return NOT_MEASURED
            case TooFew():
                return "too few"
            case met:
                return "met" if met else "not met"


@dataclass(frozen=True)
class Verdict:
    """A claim of the paper, the rule by which we judge it, and what came of it.

    Attributes:
        name: "Localisation", "Refinement" or "Extraction".
        claim: the claim in one sentence.
        rule: how the checks make the verdict.
        outcome: HELD, NOT_HELD, NOT_MEASURED, or what TooFew says.
        checks: the conditions, each with what was found.
    """

    name: str
    claim: str
    rule: str
    outcome: str
    checks: tuple[Check, ...]


def verdicts(
    tables: Tables, knockout: pl.DataFrame, protocol: Protocol = MENDED
) -> tuple[Verdict, ...]:
    """Judge the three claims.

    Args:
        tables: the run's tables.
        knockout: the run's knockout records, for the paired comparison of two cuts.
        protocol: how they are scored.
    """
    return (
        localisation(tables.ablation),
        refinement(tables.lens_summary, tables.lens_by_layer),
        extraction(tables.knockout, compare_cuts(knockout, *_CUTS, protocol)),
    )


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
    this = _one(ablation, value="mean", selection="object+1", task=task)
    random = _one(ablation, value="mean", selection="random", matched="object+1", task=task)
    if this is None or random is None or not this["n"] or not random["n"]:
        return Check(task, NOT_MEASURED, None)
    p, needed = this["mcnemar_p"], fewest_pairs(LEVEL)
    found = f"{_share(this)} against {_share(random)} at random, p {probability(p)}"
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


def refinement(summary: pl.DataFrame, by_layer: pl.DataFrame) -> Verdict:
    """Do visual tokens become readable as the object's word in later layers?"""
    strict = _one(summary, measure="strict")
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
        _all(checks),
        tuple(checks),
    )


def extraction(knockout: pl.DataFrame, against_row: pl.DataFrame) -> Verdict:
    """Does the last position read the object's tokens in the middle to late layers?

    Args:
        knockout: the knockout table.
        against_row: `compare_cuts` of object+1 -> last position with all but last row ->
            last row.
    """
    windows = ("mid-late", "late")
    tests = against_row.filter(pl.col("window").is_in(windows))
    # One lucky window or task must not make the verdict: the level is shared among the tests.
    level = LEVEL / max(1, tests.height)
    needed = fewest_pairs(level)
    stronger = (
        "in mid-late or late layers, blocking object +1 from the last position loses more than "
        f"blocking the other visual tokens from the last visual row in the same layers "
        f"(McNemar p < .05 shared by the {tests.height} comparisons made)"
    )
    later = "and at least as much as blocking object +1 from the last position in early layers"
    checks = [Check(stronger, NOT_MEASURED, None), Check(later, NOT_MEASURED, None)]
    if tests.height:
        # Where the test can't pass, the largest difference is chance: it is the last to choose.
        best = tests.with_columns(
            enough=pl.col("pairs") >= needed,
            lead=(pl.col("only_first_wrong") - pl.col("only_second_wrong")) / pl.col("pairs"),
        ).sort("enough", "lead", "p", descending=[True, True, False])
        chosen = best.row(0, named=True)
        where = {"task": chosen["task"], "window": chosen["window"]}
        first, second = (_cut(knockout, cut, **where) for cut in _CUTS)
        found = (
            f"{where['task']}, {where['window']}: {_share(first)} against {_share(second)}, "
            f"p {probability(chosen['p'])}"
        )
        passed = chosen["lead"] > 0 and chosen["p"] < level
        checks[0] = Check(stronger, found, passed if chosen["enough"] else TooFew(needed))
        early = _cut(knockout, _CUTS[0], task=chosen["task"], window="early")
        if early is not None and first is not None and early["n"]:
            checks[1] = Check(
                later,
                f"{_share(first)} against {_share(early)} in early layers",
                first["decrease"] >= early["decrease"],
            )
    return Verdict(
        "Extraction",
        "The last position reads the object's tokens directly, in the middle to late layers.",
        "Held if both conditions are met in the task and window with the largest difference, of "
        "those with objects enough for such a p.",
        _all(checks),
        tuple(checks),
    )


_CUTS = (("object+1", "last position"), ("all but last row", "last row"))


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
    return Check(condition, found, _above(strict["peak_share_low"], high))


def _on_object(condition: str, strict: Row) -> Check:
    found = f"{percent(strict['peak_share'])} against {percent(strict['peak_background'])}"
    if strict["peak_background"] is None:
        return Check(condition, found, None)
    return Check(condition, found, _above(strict["peak_share_low"], strict["peak_background_high"]))


def _above(low: Any, high: Any) -> bool | TooFew:
    """Whether one interval lies above another; means of few images have none."""
    return TooFew(FEWEST) if low is None or high is None else bool(low > high)


def _all(checks: list[Check]) -> str:
    few = [check.met for check in checks if isinstance(check.met, TooFew)]
    if few:
        return str(few[0])
    if any(check.met is False for check in checks):
        return NOT_HELD
    return NOT_MEASURED if any(check.met is None for check in checks) else HELD


def _cut(knockout: pl.DataFrame, cut: tuple[str, str], **where: str) -> Row | None:
    return _one(knockout, group=cut[0], target=cut[1], **where)


def _one(table: pl.DataFrame, **values: str) -> Row | None:
    """The row of a table that has these values, or None."""
    found = table.filter([pl.col(name) == value for name, value in values.items()])
    return found.row(0, named=True) if found.height else None


def _share(row: Row | None) -> str:
    if row is None:
        return "not measured"
    return (
        f"{percent(row['decrease'])} "
        f"({interval(row['decrease_low'], row['decrease_high'])}; n = {row['n']})"
    )
