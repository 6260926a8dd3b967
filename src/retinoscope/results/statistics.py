"""Shares, means and paired tests, each with its interval; nothing measured is None, never NaN.

All intervals are 95 % and hold only values that can be: Wilson's for shares of answers, a
bootstrap over images for means over objects. Values that were not measured (None or NaN) are left
out and n says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

FEWEST = 6
"""Images below which a mean has no interval: of 5 values not even the whole range, from the least
to the greatest, covers the middle of what they were drawn from 19 times in 20 (1 - 2 / 2**5)."""

RESAMPLES = 1000
"""Samples of the images that a bootstrap draws."""

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
        low, high: the interval's ends, never outside the range of the values; None where they are
            of fewer than FEWEST images.
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


def holm(values: Sequence[float]) -> list[float]:
    """Holm's p values of several tests made together: each holds for all of them at once.

    The step-down procedure of Holm (1979), Scandinavian Journal of Statistics 6; it needs no
    independence of the tests.

    Args:
        values: p of each test by itself, 0 to 1.

    Returns:
        The adjusted ones, in the same order, at most 1.
    """
    adjusted, greatest = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        greatest = max(greatest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = greatest
    return adjusted


def signed_rank(values: Sequence[float | None], images: Sequence[int]) -> float | None:
    """Wilcoxon's signed-rank p, two-sided: are the images' mean values centred on 0?

    An image is one case, however many of its objects were measured; images at exactly 0 take part
    as ties do (Pratt 1959). The exact distribution is taken where it can be.

    Args:
        values: one for each object; None is left out.
        images: the image of each.

    Returns:
        1 where all are 0; None where there are fewer than FEWEST images.
    """
    known: dict[int, list[float]] = {}
    for value, image in zip(values, images, strict=True):
        if value is not None and not math.isnan(value):
            known.setdefault(image, []).append(value)
    means = [math.fsum(each) / len(each) for each in known.values()]
    if len(means) < FEWEST:
        return None
    if not any(means):
        return 1.0
    found: Any = stats.wilcoxon(means, zero_method="pratt")
    return float(found.pvalue)


def fewest_pairs(level: float) -> int:
    """The fewest pairs with which McNemar's exact test can come below a level at all.

    That is where every pair disagrees, and to the same side: p is then 2 / 2**pairs.

    Args:
        level: of the test, over 0 to 1.
    """
    return math.floor(math.log2(2 / level)) + 1


def mean(values: Sequence[float | None], images: Sequence[int]) -> Estimate:
    """The mean over objects; for paired differences give the differences.

    Args:
        values: one for each object.
        images: the image of each: objects of one image are drawn together, or not at all.

    Raises:
        ValueError: the two are not of one length.
    """
    known = [
        (float(value), image)
        for value, image in zip(values, images, strict=True)
        if value is not None and not math.isnan(value)
    ]
    parts = np.array([value for value, _ in known], dtype=np.float64)
    return _estimate(parts, np.ones(len(known)), [image for _, image in known])


def pooled_share(hits: Sequence[int], totals: Sequence[int], images: Sequence[int]) -> Estimate:
    """The share of all patches of all objects; n counts objects that have patches.

    Patches of one image are anything but independent, so whole images are drawn for the interval.

    Args:
        hits: patches that count, for each object.
        totals: all its patches; objects with none are left out.
        images: the image of each.

    Raises:
        ValueError: the three are not of one length.
    """
    known = [row for row in zip(hits, totals, images, strict=True) if row[1] > 0]
    parts = np.array([hit for hit, _, _ in known], dtype=np.float64)
    wholes = np.array([total for _, total, _ in known], dtype=np.float64)
    return _estimate(parts, wholes, [image for _, _, image in known])


def lost_share(
    clean: Sequence[float | None], left: Sequence[float | None], images: Sequence[int]
) -> Estimate:
    """The share of all items' clean values that is lost: their whole loss over their whole.

    Not the mean of each item's share: an item whose clean value is barely above 0 would outweigh
    all others. Below 0 the values grew.

    Args:
        clean: of each item, such as the logit difference of the right answer; items without one,
            or with one that is not above 0, are left out.
        left: under the condition.
        images: the image of each.

    Raises:
        ValueError: the three are not of one length.
    """
    known = [
        (whole - part, whole, image)
        for whole, part, image in zip(clean, left, images, strict=True)
        if whole is not None and part is not None and whole > 0
    ]
    parts = np.array([lost for lost, _, _ in known], dtype=np.float64)
    wholes = np.array([whole for _, whole, _ in known], dtype=np.float64)
    return _estimate(parts, wholes, [image for _, _, image in known])


def _estimate(
    parts: Float[np.ndarray, " n"], wholes: Float[np.ndarray, " n"], images: Sequence[int]
) -> Estimate:
    """The sum of the parts over the sum of the wholes, with a bootstrap over images.

    Percentiles of the resampled ratio, with ends that are widened as Student's t is wider than the
    normal distribution, since plain percentiles are too narrow for few images (the expanded
    percentile interval of Hesterberg 2015, The American Statistician 69, section 4.3). Such an
    interval can't leave the range of the images' own values: a share stays within 0 and 1. It has
    no width where all images agree.
    """
    n = len(parts)
    if n == 0:
        return Estimate(0, None, None, None)
    value = math.fsum(parts) / math.fsum(wholes)
    names, places = np.unique(np.asarray(images, dtype=np.int64), return_inverse=True)
    count = len(names)
    if count < FEWEST:
        return Estimate(n, value, None, None)
    numerators = np.bincount(places, weights=parts).astype(np.float32)
    denominators = np.bincount(places, weights=wholes).astype(np.float32)
    drawn = _drawn(count)
    ratios = (drawn @ numerators) / (drawn @ denominators)
    low, high = np.quantile(ratios, (_tail(count), 1 - _tail(count))).tolist()
    least, most = float((numerators / denominators).min()), float((numerators / denominators).max())
    # Rounding aside, these bounds hold by themselves.
    return Estimate(n, value, min(max(low, least), value), max(min(high, most), value))


@lru_cache
def _tail(count: int) -> float:
    """The share of samples beyond each end of an expanded percentile interval."""
    wider = math.sqrt(count / (count - 1)) * float(stats.t.ppf(0.975, count - 1))
    return float(stats.norm.sf(wider))


@lru_cache(maxsize=8)
def _drawn(count: int) -> Float[np.ndarray, "samples images"]:
    """How often each of so many images is drawn in each sample; the same whenever it is asked."""
    drawn = np.random.default_rng(count).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return drawn.astype(np.float32)
