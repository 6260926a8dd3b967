"""Verdicts: claims judged on a run by rules that are printed beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from retinoscope.report.wording import interval, percent
from retinoscope.results.statistics import FEWEST

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
    """A claim, the rule by which we judge it, and what came of it.

    Attributes:
        name: in a word, such as "Localisation".
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


def above(low: Any, high: Any) -> bool | TooFew:
    """Whether one interval lies above another; means of few images have none."""
    return TooFew(FEWEST) if low is None or high is None else bool(low > high)


def all_met(checks: list[Check]) -> str:
    """The outcome where every check must be met."""
    few = [check.met for check in checks if isinstance(check.met, TooFew)]
    if few:
        return str(few[0])
    if any(check.met is False for check in checks):
        return NOT_HELD
    return NOT_MEASURED if any(check.met is None for check in checks) else HELD


def one_row(table: pl.DataFrame, **values: str) -> Row | None:
    """The row of a table that has these values, or None."""
    found = table.filter([pl.col(name) == value for name, value in values.items()])
    return found.row(0, named=True) if found.height else None


def share(row: Row | None) -> str:
    """A row's decrease with its interval and n."""
    if row is None:
        return "not measured"
    return (
        f"{percent(row['decrease'])} "
        f"({interval(row['decrease_low'], row['decrease_high'])}; n = {row['n']})"
    )
