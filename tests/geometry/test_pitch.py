"""The original's drifting patches, against its own arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.geometry import (
    PatchGrid,
    Tile,
    UnplacedGrid,
    centre_crop,
    centred_square,
    whole_pixel_pitch,
)

SIDES = st.integers(24, 2000)


def clip_grid(size: tuple[int, int]) -> PatchGrid:
    return PatchGrid(size, (Tile(24, 24, centre_crop(size, 336, (336, 336))),))


@given(side=st.integers(1, 60), columns=st.integers(1, 40), left=st.integers(-20, 20))
def test_whole_pixels_stay_where_they_are(side: int, columns: int, left: int) -> None:
    end = left + side * columns
    grid = PatchGrid((end + 20, end + 20), (Tile(columns, columns, (left, left, end, end)),))
    np.testing.assert_array_equal(whole_pixel_pitch(grid).boxes, grid.boxes)


@given(side=SIDES)
def test_square_images_get_the_patches_of_the_original(side: int) -> None:
    boxes = whole_pixel_pitch(clip_grid((side, side))).boxes
    for cell in (0, 23, 24, 300, 575):
        x, y = (cell % 24) * (side // 24), (cell // 24) * (side // 24)
        assert boxes[cell].tolist() == [x, y, x + side // 24, y + side // 24]


@given(width=SIDES, height=SIDES)
def test_patches_drift_to_the_left_by_less_than_a_pixel_each(width: int, height: int) -> None:
    grid = clip_grid((width, height))
    drift = (grid.boxes - whole_pixel_pitch(grid).boxes)[:, :2]
    pixels = 1 + np.arange(24)
    assert (drift >= -1e-4).all()
    assert (drift[:24, 0] < pixels).all()
    assert (np.diff(drift[:24, 0]) >= -1e-5).all()


def test_an_image_smaller_than_the_grid_has_patches_of_one_pixel() -> None:
    boxes = whole_pixel_pitch(PatchGrid((10, 10), (Tile(24, 24, (0, 0, 10, 10)),))).boxes
    assert ((boxes[:, 2:] - boxes[:, :2]) == 1).all()


def test_tokens_without_a_place_stay_without() -> None:
    grid = UnplacedGrid((10, 10), (), count=3, reason="They see the whole image each.")
    assert len(whole_pixel_pitch(grid)) == 3


@pytest.mark.parametrize("size", [(640, 480), (480, 641), (7, 7)])
def test_the_centred_square_is_the_originals_crop(size: tuple[int, int]) -> None:
    x0, y0, x1, y1 = centred_square(size)
    assert x1 - x0 == y1 - y0 == min(size)
    assert (x0, y0) == ((size[0] - min(size)) // 2, (size[1] - min(size)) // 2)
