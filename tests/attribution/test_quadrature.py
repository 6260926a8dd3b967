"""Laws of the rule that shares a path out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.attribution.quadrature import FIRST, Seen, gap, integral, points, refined


def seen_of(
    value: Callable[[float], float], slope: Callable[[float], float], at: list[float]
) -> dict[float, Seen]:
    """A function of one variable, whose gradient is its slope."""
    return {x: Seen(value(x), slope(x), torch.tensor([[slope(x)]])) for x in at}


@given(st.lists(st.floats(-3, 3), min_size=5, max_size=5))
def test_quartics_gain_what_the_rule_says(factors: list[float]) -> None:
    """Their derivatives are cubics, for which the rule is exact."""

    def value(x: float) -> float:
        return sum(c * x**k for k, c in enumerate(factors))

    def slope(x: float) -> float:
        return sum(k * c * x ** (k - 1) for k, c in enumerate(factors) if k)

    seen = seen_of(value, slope, points(FIRST))
    assert all(gap(piece, seen) < 1e-9 for piece in FIRST)
    gained = value(1.0) - value(0.0)
    assert float(integral(FIRST, seen)) == pytest.approx(gained, abs=1e-4)


def test_halves_are_nearer() -> None:
    at = points([(0.0, 0.5), (0.5, 1.0), (0.0, 1.0)])
    seen = seen_of(lambda x: x**6, lambda x: 6 * x**5, at)
    assert sum(gap(piece, seen) for piece in FIRST) < 0.1 * gap((0.0, 1.0), seen)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
    st.floats(0.001, 2),
    st.integers(0, 8),
)
def test_only_what_must_be_halved_is(sizes: list[float], allowed: float, most: int) -> None:
    pieces = [(float(i), float(i + 1)) for i in range(len(sizes))]
    gaps = dict(zip(pieces, sizes, strict=True))
    after = refined(gaps, allowed, most)
    halved = [piece for piece in pieces if piece not in after]
    assert sum(end - start for start, end in after) == len(pieces)
    assert len(after) - len(pieces) == len(halved) <= most
    # With one piece fewer the rest alone would be over what is allowed.
    kept = sorted((gaps[piece] for piece in pieces if piece not in halved), reverse=True)
    if halved:
        smallest = min(gaps[piece] for piece in halved)
        assert sum(kept) + smallest > allowed - 1e-9
    if len(halved) < min(most, len(pieces)):
        assert sum(kept) <= allowed + 1e-9


def test_neighbours_share_their_ends() -> None:
    assert points(FIRST) == [0.0, 0.25, 0.5, 0.75, 1.0]
    quarters = refined({piece: 1.0 for piece in FIRST}, 0.1, 2)
    assert len(points(quarters)) == 9
    assert set(points(FIRST)) < set(points(quarters))
