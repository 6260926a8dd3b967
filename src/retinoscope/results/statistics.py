"""Shares, means and paired tests, each with its interval; nothing measured is None, never NaN.

All intervals are 95 %. Values that were not measured (None or NaN) are left out and n says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy import stats

_Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Rate:
    """A share of n cases, with its Wilson 95 % interval.

    Attributes:
        hits: cases that count, 0 to n.
        n: all cases.
        value: hits / n, 0 to 1; None when n is 0.
        low, high: the interval's ends, 0 to 1; None when n is 0.
    """

    hits: int
    n: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Estimate:
    """A mean of n values, with its 95 % interval.

    Attributes:
        n: how many values there were.
        value: the mean; None when n is 0.
        low, high: the interval's ends; None when n is below 2, where there is no spread to see.
    """

    n: int
    value: float | None
    low: float | None
    high: float | None


def rate(hits: int, n: int) -> Rate:
    """The share hits / n with Wilson's score interval.

    Wilson's interval keeps inside 0 to 1 and is honest at 0 % and 100 %, where the usual normal
    interval has no width. It takes the cases as independent; several objects of one image are
    not quite so.

    Args:
        hits: cases that count.
        n: all cases; 0 gives a Rate of Nones.

    Raises:
        ValueError: hits is not between 0 and n.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"a rate needs 0 <= hits <= n, not {hits} of {n}")
    if n == 0:
        return Rate(0, 0, None, None, None)
    share = hits / n
    scale = 1 + _Z**2 / n
    centre = (share + _Z**2 / (2 * n)) / scale
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / scale
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == n else min(1.0, centre + half)
    return Rate(hits, n, share, low, high)


def mcnemar(only_first_wrong: int, only_second_wrong: int) -> float:
    """McNemar's exact two-sided p: do two conditions on the same cases go wrong equally often?

    Only the cases on which the two disagree tell; under the null each falls to either side with
    probability one half (binomial test). No disagreement gives 1.

    Args:
        only_first_wrong: cases wrong under the first condition alone.
        only_second_wrong: cases wrong under the second condition alone.
    """
    disagreements = only_first_wrong + only_second_wrong
    if disagreements == 0:
        return 1.0
    return float(stats.binomtest(only_first_wrong, disagreements, 0.5).pvalue)


def mean(values: Iterable[float | None]) -> Estimate:
    """The mean with Student's t interval; for paired differences give the differences.

    We use t and not the bootstrap: it is deterministic, needs no seed, and at the sizes of a run
    (100 objects and more) the two agree to within the digits that are shown.
    """
    known = [float(v) for v in values if v is not None and not math.isnan(v)]
    n = len(known)
    if n == 0:
        return Estimate(0, None, None, None)
    centre = math.fsum(known) / n
    if n == 1:
        return Estimate(1, centre, None, None)
    variance = math.fsum((v - centre) ** 2 for v in known) / (n - 1)
    half = _t(n - 1) * math.sqrt(variance / n)
    return Estimate(n, centre, centre - half, centre + half)


def pooled_share(hits: Sequence[int], totals: Sequence[int]) -> Estimate:
    """The share of all patches of all images, with an interval that takes images as the units.

    Patches of one image are anything but independent, so the interval comes from the spread
    between images (the ratio estimator's linearised variance, t with images - 1 degrees of
    freedom), clipped to 0 to 1. n counts images.

    Args:
        hits: patches that count, for each image.
        totals: all patches, for each image; images with none are left out.

    Raises:
        ValueError: the two are not of one length.
    """
    pairs = [(h, t) for h, t in zip(hits, totals, strict=True) if t > 0]
    n = len(pairs)
    if n == 0:
        return Estimate(0, None, None, None)
    size = sum(t for _, t in pairs)
    share = sum(h for h, _ in pairs) / size
    if n == 1:
        return Estimate(1, share, None, None)
    spread = math.fsum((h - share * t) ** 2 for h, t in pairs) * n / (n - 1)
    half = _t(n - 1) * math.sqrt(spread) / size
    return Estimate(n, share, max(0.0, share - half), min(1.0, share + half))


def _t(degrees: int) -> float:
    return float(stats.t.ppf(0.975, degrees))
