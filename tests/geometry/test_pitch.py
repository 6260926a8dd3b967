"""The original's drifting patches, against its own arithmetic."""

from __future__ import annotations

import numpy as np
import pycocotools.mask as coco
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.geometry import (
    PatchGrid,
    Tile,
    UnplacedGrid,
    centre_crop,
    centred_square,
    coverage,
    whole_pixel_pitch,
)

SIDES = st.integers(24, 2000)

COCO_SIZES = [
    *((640, 480), (640, 427), (480, 640), (640, 426), (427, 640), (500, 375), (640, 428)),
    *((640, 425), (640, 360), (500, 333), (640, 479), (612, 612), (640, 640), (375, 500)),
    *((426, 640), (333, 500), (640, 478), (640, 424), (640, 512), (428, 640), (640, 481)),
    *((500, 334), (479, 640), (640, 429), (500, 332), (500, 374), (480, 360), (334, 500)),
]
"""The commonest sizes of COCO's images, and those next to them that are rounded otherwise."""


def clip_grid(size: tuple[int, int]) -> PatchGrid:
    return PatchGrid(size, (Tile(24, 24, centre_crop(size, 336, (336, 336))),))


@given(side=st.integers(1, 60), columns=st.integers(1, 40), left=st.integers(-20, 20))
def test_whole_pixels_stay_where_they_are(side: int, columns: int, left: int) -> None:
    end = left + side * columns
    grid = PatchGrid((5000, 5000), (Tile(columns, columns, (left, left, end, end)),))
    np.testing.assert_array_equal(whole_pixel_pitch(grid).boxes, grid.boxes)


@given(side=SIDES)
def test_square_images_get_the_patches_of_the_original(side: int) -> None:
    boxes = whole_pixel_pitch(clip_grid((side, side))).boxes
    for cell in (0, 23, 24, 300, 575):
        x, y = (cell % 24) * (side // 24), (cell // 24) * (side // 24)
        assert boxes[cell].tolist() == [x, y, x + side // 24, y + side // 24]


@given(width=SIDES, height=SIDES)
def test_patches_drift_to_the_left_by_less_than_a_pixel_each(width: int, height: int) -> None:
    size = (width, height)
    exact = PatchGrid(size, (Tile(24, 24, centred_square(size)),))
    drift = (exact.boxes - whole_pixel_pitch(clip_grid(size)).boxes)[:, :2]
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


def original_tokens(size: tuple[int, int], polygon: list[float]) -> list[int]:
    """The patches that the original finds on an object: crop, shift, and 24 x 24 rectangles."""
    side = min(size)
    left, top, pitch = (size[0] - side) // 2, (size[1] - side) // 2, min(size) // 24
    shifted = [v - (top if i % 2 else left) for i, v in enumerate(polygon)]
    corners = [((i % 24) * pitch, (i // 24) * pitch) for i in range(576)]
    patches = [[x, y, x + pitch, y, x + pitch, y + pitch, x, y + pitch] for x, y in corners]
    cells = [coco.frPyObjects([patch], side, side)[0] for patch in patches]
    overlap = coco.iou(cells, coco.frPyObjects([shifted], side, side), [0])
    return np.flatnonzero(overlap[:, 0] > 0).tolist()


# pycocotools' decoding and numpy 2 disagree about a keyword.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("size", COCO_SIZES, ids=str)
def test_objects_get_the_tokens_of_the_original(size: tuple[int, int]) -> None:
    grid = whole_pixel_pitch(clip_grid(size))
    x0, y0, x1, y1 = centred_square(size)
    rng = np.random.default_rng(size)
    for _ in range(8):
        radius, turn = rng.uniform(5, 60), np.sort(rng.uniform(0, 2 * np.pi, 7))
        middle = rng.uniform((x0 + radius, y0 + radius), (x1 - radius, y1 - radius))
        ring = middle + radius * np.stack([np.cos(turn), np.sin(turn)], 1)
        polygon = ring.reshape(-1).round(2).tolist()
        mask = coco.decode(coco.frPyObjects([polygon], size[1], size[0])[0]).astype(bool)
        found = np.flatnonzero(coverage(grid, mask) > 0).tolist()
        assert found == original_tokens(size, polygon)


@given(width=SIDES, height=SIDES)
def test_any_centre_crop_is_the_originals_square(width: int, height: int) -> None:
    side = min(width, height)
    boxes = whole_pixel_pitch(clip_grid((width, height))).boxes
    x, y = (width - side) // 2, (height - side) // 2
    pitch = max(1, side // 24)
    assert boxes[0].tolist() == [x, y, x + pitch, y + pitch]
    assert boxes[-1].tolist() == [x + 23 * pitch, y + 23 * pitch, x + 24 * pitch, y + 24 * pitch]


def test_tiles_that_are_no_centre_crop_stay_where_they_are() -> None:
    tiles = (Tile(24, 24, (0, 0, 320, 480)), Tile(24, 24, (320, 0, 640, 480)))
    boxes = [tile.box for tile in whole_pixel_pitch(PatchGrid((640, 480), tiles)).tiles]
    assert boxes == [(0, 0, 24 * 13, 480), (320, 0, 320 + 24 * 13, 480)]
