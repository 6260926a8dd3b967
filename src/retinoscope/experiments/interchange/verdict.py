"""Carrier, relay and approximation, judged."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from retinoscope.experiments.interchange.tables import DIRECTIONS, METHODS, paired
from retinoscope.report.verdict import (
    HELD,
    NOT_HELD,
    NOT_MEASURED,
    Check,
    TooFew,
    Verdict,
    all_met,
)
from retinoscope.report.wording import interval, number, percent
from retinoscope.results.statistics import FEWEST, Estimate

GOOD = 0.9
"""Rank correlation and share of signs from which an approximation may stand for the sweep."""

SIZES = (0.8, 1.25)
"""Slopes between which its size may be trusted too."""

DIRECT, RELAYED = "object -> last", "object -> question -> last"


def carrier(records: pl.DataFrame) -> Verdict:
    """Does the object's own place carry the difference into the language model?"""
    stream = records.filter((pl.col("head") < 0) & (pl.col("layer") == 0))
    checks = [
        _against(
            f"{direction}: at the input, exchanging the object's tokens moves more of the "
            "difference than exchanging as many visual tokens elsewhere (interval of the paired "
            "difference above 0)",
            *paired(stream, "group", "object", "matched", direction),
        )
        for direction in DIRECTIONS
    ]
    return Verdict(
        "Carrier",
        "What tells two images apart enters the language model at the object's own tokens: they "
        "are needed for it and enough to bring it back.",
        f"Held if both conditions are met; means have an interval from {FEWEST} images on.",
        all_met(checks),
        tuple(checks),
    )


def relay(records: pl.DataFrame, task: str) -> Verdict:
    """Does the difference pass through the question, or straight to the last position?

    Args:
        records: of paths.
        task: one of the tasks; models may take another way for another question.
    """
    whole = records.filter((pl.col("first_layer") == 0) & (pl.col("task") == task)).filter(
        pl.col("last_layer") == pl.col("last_layer").max()
    )
    checks = [
        _against(
            f"{direction}: the path object \u2192 question \u2192 last carries more than the path "
            "object \u2192 last (interval of the paired difference above 0)",
            *paired(whole, "route", RELAYED, DIRECT, direction),
        )
        for direction in DIRECTIONS
    ]
    return Verdict(
        f"Relay ({task})",
        "The question's tokens pick the difference up and hand it to the last position, which does "
        "not read it from the object directly.",
        "Held if both conditions are met. Paths in all layers, each patched alone: what two of "
        "them do together is in neither.",
        all_met(checks),
        tuple(checks),
    )


def approximation(table: pl.DataFrame) -> Verdict:
    """May gradients stand for the exact sweep on this model?

    Args:
        table: the agreement table.
    """
    stream = table.filter(pl.col("part") == "residual stream")
    checks = [_trusted(stream.filter(pl.col("approximation") == one), one) for one in METHODS]
    return Verdict(
        "Approximation",
        "A gradient can stand for the exact sweep of layers and groups on this model.",
        f"Held if one of the approximations meets its condition: in both directions a mean rank "
        f"correlation and a mean share of equal signs of at least {GOOD}, their intervals "
        f"included, and a slope of {SIZES[0]} to {SIZES[1]}.",
        _any_met(checks),
        tuple(checks),
    )


def _against(condition: str, one: Estimate, other: Estimate, gap: Estimate) -> Check:
    if gap.value is None:
        return Check(condition, NOT_MEASURED, None)
    span = interval(gap.low, gap.high)
    found = (
        f"{percent(one.value)} against {percent(other.value)}, difference "
        f"{number(100 * gap.value)} points{f' ({span})' if span else ''}, n = {gap.n}"
    )
    return Check(condition, found, TooFew(FEWEST) if gap.low is None else gap.low > 0)


def _trusted(rows: pl.DataFrame, method: str) -> Check:
    condition = f"{NAMES[method]}: rank, sign and size in both directions"
    known = rows.drop_nulls(["rank_correlation", "sign_agreement", "slope"])
    if known.height < len(DIRECTIONS):
        return Check(condition, NOT_MEASURED, None)
    said, met = [], list[bool | TooFew]()
    for row in known.iter_rows(named=True):
        said.append(
            f"{row['direction']} rank {_with(row, 'rank_correlation')}, signs "
            f"{_with(row, 'sign_agreement')}, slope {number(row['slope'], 2)} (n = {row['n']})"
        )
        lows = (row["rank_correlation_low"], row["sign_agreement_low"])
        if None in lows:
            met.append(TooFew(FEWEST))
        else:
            met.append(min(lows) >= GOOD and SIZES[0] <= row["slope"] <= SIZES[1])
    few = [one for one in met if isinstance(one, TooFew)]
    return Check(condition, "; ".join(said), few[0] if few else all(met))


def _with(row: dict, name: str) -> str:
    span = interval(row[f"{name}_low"], row[f"{name}_high"], scale=1, digits=2)
    return f"{number(row[name], 2)}{f' ({span})' if span else ''}"


def _any_met(checks: Sequence[Check]) -> str:
    if any(check.met is True for check in checks):
        return HELD
    few = [check.met for check in checks if isinstance(check.met, TooFew)]
    if few:
        return str(few[0])
    return NOT_HELD if any(check.met is False for check in checks) else NOT_MEASURED


NAMES = {"attribution": "attribution patching", "eap_ig": "EAP-IG", "relp": "RelP"}
"""As a report calls the approximations."""
