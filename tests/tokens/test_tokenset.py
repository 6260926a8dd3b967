"""Laws of token sets and layouts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.errors import SelectionError, TokenMapError
from retinoscope.geometry import PatchGrid, Tile
from retinoscope.tokens import (
    TokenLayout,
    VisualSpan,
    at,
    last,
    of_image,
    patch,
    row,
    text,
    under,
    visual,
)

ROWS, COLUMNS, START = 5, 7, 3


def grid() -> PatchGrid:
    return PatchGrid((70, 50), (Tile(ROWS, COLUMNS, (0.0, 0.0, 70.0, 50.0)),))


def layout() -> TokenLayout:
    cells = ROWS * COLUMNS
    return TokenLayout(START + cells + 4, (VisualSpan(tuple(range(START, START + cells)), grid()),))


LAYOUT = layout()
sets = st.frozensets(st.sampled_from(LAYOUT.visual)).map(lambda p: at(LAYOUT, p))


@given(sets, sets)
def test_algebra_is_that_of_sets(a, b):
    assert (a | b).positions == a.positions | b.positions
    assert (a & b).positions == a.positions & b.positions
    assert (a - b).positions == a.positions - b.positions
    assert (~a).positions == frozenset(LAYOUT.visual) - a.positions
    assert ~~a == a


@given(sets, st.integers(0, 3), st.integers(0, 3))
def test_dilation_grows_step_by_step_and_stays_on_the_grid(a, m, n):
    assert a.dilate(m).dilate(n) == a.dilate(m + n)
    assert a.positions <= a.dilate(n).positions <= frozenset(LAYOUT.visual)


@given(sets)
def test_boundary_is_the_members_that_touch_what_is_not_in_the_set(a):
    inner = a - a.boundary()
    assert inner.dilate(1).positions <= a.positions


def test_a_buffer_is_the_eight_neighbours():
    middle = START + 2 * COLUMNS + 3
    assert len(at(LAYOUT, [middle]).dilate(1)) == 9
    assert len(at(LAYOUT, [START]).dilate(1)) == 4


def test_dilation_does_not_leave_its_level():
    tiles = (Tile(2, 2, (0, 0, 10, 10)), Tile(2, 2, (0, 0, 10, 10), level=1))
    two = TokenLayout(8, (VisualSpan(tuple(range(8)), PatchGrid((10, 10), tiles)),))
    assert set(at(two, [0]).dilate(5)) == {0, 1, 2, 3}


def test_tiles_of_one_level_are_neighbours():
    tiles = (Tile(1, 2, (0, 0, 10, 10)), Tile(1, 2, (10, 0, 20, 10), column=2))
    side = TokenLayout(4, (VisualSpan((0, 1, 2, 3), PatchGrid((20, 10), tiles)),))
    assert set(at(side, [1]).dilate(1)) == {0, 1, 2}


def test_under_takes_every_patch_the_mask_touches_and_no_other():
    mask = np.zeros((50, 70), dtype=bool)
    mask[12, 25] = True
    assert list(under(LAYOUT, mask)) == [START + COLUMNS * 1 + 2]
    with pytest.raises(SelectionError, match="covers no patch"):
        under(LAYOUT, mask, overlap=0.5)


def test_rows_last_and_text():
    assert list(row(LAYOUT, -1)) == list(LAYOUT.visual[-COLUMNS:])
    assert list(last(LAYOUT)) == [LAYOUT.length - 1]
    assert visual(LAYOUT).positions | text(LAYOUT).positions == set(range(LAYOUT.length))
    with pytest.raises(SelectionError, match="rows 0 to 4"):
        row(LAYOUT, 5)
    with pytest.raises(SelectionError, match="no image 1"):
        row(LAYOUT, 0, of_image(LAYOUT, 1))


def test_a_patch_is_where_its_row_and_column_meet():
    for token, (_, at_row, column) in zip(LAYOUT.visual, LAYOUT.spans[0].grid.cells, strict=True):
        assert list(patch(LAYOUT, int(at_row), int(column))) == [token]
    for wrong in ((ROWS, 0), (0, COLUMNS), (-1, 0)):
        with pytest.raises(SelectionError, match=f"rows 0 to {ROWS - 1}"):
            patch(LAYOUT, *wrong)


@given(st.integers(0, ROWS * COLUMNS), st.integers(0, 2**31 - 1))
def test_draws_have_the_size_and_follow_from_the_seed(size, seed):
    drawn = visual(LAYOUT).draw(size, seed)
    assert len(drawn) == size
    assert drawn == visual(LAYOUT).draw(size, seed)


def test_what_cannot_be_is_refused():
    with pytest.raises(SelectionError, match="outside the sequence"):
        at(LAYOUT, [LAYOUT.length])
    with pytest.raises(SelectionError, match="at most 2"):
        at(LAYOUT, [3, 4]).draw(3, 0)
    with pytest.raises(SelectionError, match="different sequences"):
        _ = at(LAYOUT, [3]) | at(TokenLayout(9, ()), [3])
    with pytest.raises(SelectionError, match="0 or more"):
        at(LAYOUT, [3]).dilate(-1)
    with pytest.raises(TokenMapError, match="34 visual tokens"):
        VisualSpan(tuple(range(34)), grid())
    with pytest.raises(TokenMapError, match="distinct"):
        TokenLayout(10, (VisualSpan(tuple(range(35)), grid()),))
