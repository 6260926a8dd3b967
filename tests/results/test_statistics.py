"""Laws of the shares, means and tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.results.statistics import mcnemar, mean, pooled_share, rate

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


@given(st.lists(st.floats(-1, 1), max_size=30))
def test_mean_lies_in_its_interval(values: list[float]) -> None:
    e = mean(values)
    assert e.n == len(values)
    assert (e.value is None) == (not values)
    assert (e.low is None) == (len(values) < 2)
    if e.value is not None and e.low is not None and e.high is not None:
        assert e.low <= e.value <= e.high


def test_what_was_not_measured_does_not_count() -> None:
    assert mean([1.0, None, math.nan, 3.0]) == mean([1.0, 3.0])
    assert mean([None, math.nan]) == mean([])


def test_t_interval_covers_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(2.0, 1.0, (2000, 8))
    inside = 0
    for row in draws:
        e = mean(row)
        assert e.low is not None and e.high is not None
        inside += e.low <= 2.0 <= e.high
    assert 0.93 < inside / len(draws) < 0.97


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20))
def test_pooled_share_is_all_hits_of_all_patches(pairs: list[tuple[int, int]]) -> None:
    hits = [min(pair) for pair in pairs]
    totals = [max(pair) for pair in pairs]
    e = pooled_share(hits, totals)
    assert e.n == sum(t > 0 for t in totals)
    if sum(totals) == 0:
        assert e.value is None
        return
    assert e.value is not None
    assert math.isclose(e.value, sum(hits) / sum(totals), abs_tol=1e-12)
    if e.low is not None and e.high is not None:
        assert 0 <= e.low <= e.value <= e.high <= 1


def test_images_of_one_mind_leave_no_doubt_and_patches_are_not_taken_for_images() -> None:
    same = pooled_share([5, 10, 20], [10, 20, 40])
    assert same.low == same.value == same.high == 0.5
    split = pooled_share([10, 0], [10, 10])
    assert split.low == 0 and split.high == 1
