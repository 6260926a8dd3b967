"""Windows of layers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.errors import InterventionError
from retinoscope.experiments.knockout.windows import PAPER_WINDOWS, windows


def test_32_layers_give_the_papers_windows():
    for name, layers in windows(32).items():
        assert (layers[0], layers[-1]) == PAPER_WINDOWS[name]


@given(st.integers(2, 100))
def test_windows_fit_any_depth(depth):
    found = windows(depth)
    assert found["all"] == range(depth)
    assert found["early"][0] == 0
    assert found["late"][-1] == depth - 1
    for layers in found.values():
        assert 0 <= layers[0] <= layers[-1] < depth
    starts = [found[name][0] for name in ("early", "early-mid", "mid", "mid-late", "late")]
    assert starts == sorted(starts)


def test_one_layer_has_no_windows():
    with pytest.raises(InterventionError, match="at least two"):
        windows(1)
