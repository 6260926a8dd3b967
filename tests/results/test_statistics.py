"""Laws of the shares, means and tests."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.results.statistics import (
    FEWEST,
    fewest_pairs,
    holm,
    mcnemar,
    mean,
    pooled_share,
    rate,
)

counts = st.integers(0, 400)


@given(counts, counts)
def test_interval_contains_the_share_and_stays_a_share(hits: int, misses: int) -> None:
    r = rate(hits, hits + misses)
    if hits + misses == 0:
        assert (r.value, r.low, r.high) == (None, None, None)
        return
    assert r.value is not None and r.low is not None and r.high is not None
    assert 0 <= r.low <= r.value <= r.high <= 1


@given(counts, counts)
def test_share_of_misses_mirrors_share_of_hits(hits: int, misses: int) -> None:
    n = hits + misses
    one, other = rate(hits, n), rate(misses, n)
    if one.low is not None and other.high is not None:
        assert math.isclose(one.low, 1 - other.high, abs_tol=1e-12)


def test_more_cases_narrow_the_interval() -> None:
    widths = [(r.high or 0) - (r.low or 0) for r in (rate(3 * k, 10 * k) for k in (1, 4, 16))]
    assert widths[0] > widths[1] > widths[2] > 0


def test_wilson_agrees_with_the_published_formula_by_root_finding() -> None:
    # Wilson's ends are where |share - p| equals z standard errors at p.
    r = rate(7, 40)
    for end in (r.low, r.high):
        assert end is not None
        assert math.isclose(
            abs(7 / 40 - end), 1.959964 * math.sqrt(end * (1 - end) / 40), rel_tol=1e-5
        )


@pytest.mark.parametrize(("hits", "n"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="hits"):
        rate(hits, n)


@given(counts, counts)
def test_mcnemar_is_symmetric_and_a_probability(a: int, b: int) -> None:
    p = mcnemar(a, b)
    assert math.isclose(p, mcnemar(b, a), rel_tol=1e-9)
    assert 0 <= p <= 1 + 1e-12


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 0) == 1.0
    assert math.isclose(mcnemar(5, 0), 2 * 0.5**5)
    assert math.isclose(mcnemar(6, 1), 2 * (1 + 7) / 2**7)


@pytest.mark.parametrize("level", [0.05, 0.025, 0.0125, 0.01, 0.25])
def test_the_fewest_pairs_can_pass_and_one_less_cannot(level: float) -> None:
    needed = fewest_pairs(level)
    assert mcnemar(needed, 0) < level
    assert all(mcnemar(only, needed - 1 - only) >= level for only in range(needed))


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9)), max_size=30))
def test_a_mean_lies_in_its_interval_and_that_among_the_values(
    objects: list[tuple[float, int]],
) -> None:
    values, images = [value for value, _ in objects], [image for _, image in objects]
    e = mean(values, images)
    assert e.n == len(values)
    assert (e.value is None) == (not values)
    assert (e.low is None) == (e.high is None) == (len({*images}) < FEWEST)
    if e.value is not None and e.low is not None and e.high is not None:
        assert min(values) - 1e-6 <= e.low <= e.value <= e.high <= max(values) + 1e-6


def test_shares_near_the_end_of_the_scale_have_possible_intervals() -> None:
    """Student's t gave 59.0 to 103.6 % and the like."""
    shares = [1.0, 1.0, 0.9, 1.0, 0.3, 1.0, 1.0]
    e = mean(shares, range(7))
    assert e.low is not None and e.high is not None
    assert 0.3 <= e.low < e.high <= 1


def test_objects_of_one_image_do_not_narrow_an_interval() -> None:
    values = [0.1, 0.5, 0.2, 0.9, 0.4, 0.7, 0.3, 0.8]
    alone = mean(values, range(8))
    twice = mean(values * 2, [*range(8)] * 2)
    assert (twice.n, twice.value) == (16, pytest.approx(alone.value))
    assert (twice.low, twice.high) == (pytest.approx(alone.low), pytest.approx(alone.high))
    apart = mean(values * 2, range(16))
    assert twice.low is not None and apart.low is not None and twice.low < apart.low


def test_what_was_not_measured_does_not_count() -> None:
    assert mean([1.0, None, math.nan, 3.0], [1, 2, 3, 4]) == mean([1.0, 3.0], [1, 4])
    assert mean([None, math.nan], [1, 2]) == mean([], [])


def test_the_order_of_objects_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    values, images = rng.random(40), rng.integers(0, 20, 40)
    order = rng.permutation(40)
    one = mean(values.tolist(), images.tolist())
    other = mean(values[order].tolist(), images[order].tolist())
    assert (one.low, one.high) == (pytest.approx(other.low), pytest.approx(other.high))


@pytest.mark.parametrize("count", [8, 30])
def test_an_interval_covers_the_truth_as_often_as_it_says(count: int) -> None:
    draws = np.random.default_rng(0).normal(2.0, 1.0, (1000, count))
    inside = 0
    for row in draws:
        e = mean(row.tolist(), range(count))
        assert e.low is not None and e.high is not None
        inside += e.low <= 2.0 <= e.high
    assert 0.92 < inside / len(draws) < 0.98


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20))
def test_pooled_share_is_all_hits_of_all_patches(pairs: list[tuple[int, int]]) -> None:
    hits = [min(pair) for pair in pairs]
    totals = [max(pair) for pair in pairs]
    e = pooled_share(hits, totals, range(len(pairs)))
    assert e.n == sum(t > 0 for t in totals)
    if sum(totals) == 0:
        assert e.value is None
        return
    assert e.value is not None
    assert math.isclose(e.value, sum(hits) / sum(totals), abs_tol=1e-12)
    if e.low is not None and e.high is not None:
        assert 0 <= e.low <= e.value <= e.high <= 1


def test_images_of_one_mind_leave_no_doubt_and_patches_are_not_taken_for_images() -> None:
    same = pooled_share([5, 10, 20] * 2, [10, 20, 40] * 2, range(6))
    assert same.low == same.value == same.high == 0.5
    split = pooled_share([1000, 0] * 3, [1000, 1000] * 3, range(6))
    assert split.low == 0 and split.high == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_helps(values: list[float]) -> None:
    adjusted = holm(values)
    order = sorted(range(len(values)), key=lambda i: values[i])
    assert all(value <= made <= 1 for value, made in zip(values, adjusted, strict=True))
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))
    assert min(adjusted) == min(1.0, len(values) * min(values))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
