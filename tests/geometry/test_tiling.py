"""Tiles and boxes against the arithmetic of transformers' image processors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

from retinoscope.errors import TokenMapError
from retinoscope.geometry import (
    PatchGrid,
    Tile,
    UnplacedGrid,
    best_resolution,
    closest_canvas,
    coverage,
    padded_fit,
    padded_square,
    pan_and_scan,
    split,
    whole_image,
)

sizes = st.tuples(st.integers(1, 2000), st.integers(1, 2000))
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]


@given(sizes, st.integers(1, 3), st.integers(3, 12))
def test_the_canvas_is_the_one_that_got_ocr2_chooses(size, fewest, most):
    columns, rows = get_optimal_tiled_canvas(size[::-1], (448, 448), fewest, most)
    assert closest_canvas(size, (448, 448), fewest, most) == (rows, columns)


@given(sizes)
def test_the_resolution_is_the_one_that_llava_next_chooses(size):
    height, width = select_best_resolution(size[::-1], PINPOINTS)
    assert best_resolution(size, [(w, h) for h, w in PINPOINTS]) == (width, height)


@given(sizes, st.sampled_from(PINPOINTS))
def test_a_padded_fit_holds_the_image_with_llava_next_s_padding(size, target):
    height, width = get_patch_output_size(
        np.zeros((3, *size[::-1]), bool), target, "channels_first"
    )
    x0, y0, x1, y1 = padded_fit(size, (target[1], target[0]))
    pixel_x, pixel_y = size[0] / width, size[1] / height
    assert x1 - x0 == pytest.approx(target[1] * pixel_x)
    assert y1 - y0 == pytest.approx(target[0] * pixel_y)
    assert -x0 / pixel_x == pytest.approx((target[1] - width) // 2)
    assert -y0 / pixel_y == pytest.approx((target[0] - height) // 2)
    assert x0 <= 0 and y0 <= 0 and x1 >= size[0] - 1e-6 and y1 >= size[1] - 1e-6


@given(sizes, st.integers(1, 300), st.integers(2, 5), st.floats(1.0, 3.0))
@settings(max_examples=200)
def test_pan_and_scan_crops_as_gemma3_does(size, smallest, most, ratio):
    # An image whose pixels are their own coordinates tells where a crop was taken.
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    image = np.stack([columns, rows, columns])
    crops = Gemma3ImageProcessorPil().pan_and_scan(image, smallest, most, ratio)
    # A crop of no pixels can't be resized: the image processor refuses such an image.
    assume(all(crop.size for crop in crops))
    expected = [
        (crop[0].min(), crop[1].min(), crop[0].max() + 1, crop[1].max() + 1) for crop in crops
    ]
    assert list(pan_and_scan(size, smallest=smallest, most=most, ratio=ratio)) == expected


def test_padding_to_a_square_puts_the_odd_pixel_behind():
    assert padded_square((10, 7)) == (0, -1, 10, 9)
    assert padded_square((7, 10)) == (-1, 0, 9, 10)
    assert padded_square((8, 8)) == whole_image((8, 8))


@given(sizes, st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))
def test_split_tiles_cover_the_box_once_and_continue_each_other(size, rows, columns, side):
    tiles = split(whole_image(size), rows, columns, (side, side), level=1)
    grid = PatchGrid(size, tiles)
    whole = PatchGrid(size, (Tile(rows * side, columns * side, whole_image(size), 1),))
    order = np.lexsort((grid.cells[:, 2], grid.cells[:, 1]))
    assert np.array_equal(grid.cells[order], whole.cells)
    assert np.allclose(grid.boxes[order], whole.boxes)


def test_tokens_without_a_place_say_why():
    grid = UnplacedGrid((4, 3), (), count=5, reason="they read everything.")
    assert len(grid) == 5
    for ask in (
        lambda: grid.boxes,
        lambda: grid.cells,
        lambda: grid.rows,
        lambda: coverage(grid, np.ones((3, 4), bool)),
    ):
        with pytest.raises(TokenMapError, match="they read everything"):
            ask()
