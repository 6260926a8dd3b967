"""Sets of tokens as text: short, and read back as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.results import token_indices
from retinoscope.results.indices import indices_text


@given(st.sets(st.integers(0, 600)))
def test_a_set_is_read_back_from_its_text(indices: set[int]) -> None:
    assert token_indices(indices_text(indices)) == tuple(sorted(indices))


@pytest.mark.parametrize(
    ("indices", "text"),
    [([], ""), ([7], "7"), ([9, 4, 3, 5], "3-5,9"), ([1, 0], "0-1"), (range(576), "0-575")],
)
def test_neighbours_are_one_run(indices: list[int], text: str) -> None:
    assert indices_text(indices) == text


@pytest.mark.parametrize("text", ["a", "3-", "-3", "1,,2", "1;2"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        token_indices(text)
