"""Masks from polygons and run lengths agree with the shapes that were drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as coco_mask

from retinoscope.data import Annotation, Sample, object_mask
from retinoscope.errors import SampleError
from tests.data.coco_folder import square

HEIGHT, WIDTH = 30, 40
SAMPLE = Sample(7, Path("image.png"), WIDTH, HEIGHT)
MASKS = arrays.arrays(np.bool_, (HEIGHT, WIDTH)).filter(lambda mask: bool(mask.any()))


def decoded(segmentation: Any, crowd: bool = False) -> np.ndarray:
    text = json.dumps(segmentation).encode()
    return object_mask(SAMPLE, Annotation(3, "dog", 1.0, (0, 0, 1, 1), crowd, text))


def compressed(mask: np.ndarray) -> str:
    """COCO's run-length string of a mask, by pycocotools."""
    counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    return counts if isinstance(counts, str) else counts.decode()


@given(
    x=st.integers(0, 20), y=st.integers(0, 15), width=st.integers(1, 20), height=st.integers(1, 15)
)
def test_a_box_polygon_covers_its_area_exactly(x: int, y: int, width: int, height: int) -> None:
    right, bottom = x + width, y + height
    mask = decoded([[x, y, right, y, right, bottom, x, bottom]])
    assert mask.sum() == width * height
    assert mask[y:bottom, x:right].all()


@given(st.integers(6, 14), st.floats(0, 6.28))
def test_a_polygon_covers_about_its_area(radius: int, turn: float) -> None:
    """Pixel count and shoelace area differ by less than the outline's length."""
    angles = turn + np.arange(5) * 2 * np.pi / 5
    x, y = 20 + radius * np.cos(angles), 15 + radius * np.sin(angles)
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    outline = np.hypot(x - np.roll(x, 1), y - np.roll(y, 1)).sum()
    mask = decoded([np.stack([x, y], axis=1).ravel().tolist()])
    assert abs(mask.sum() - area) < outline


def test_several_polygons_are_united() -> None:
    assert decoded(square(0, 0, 10) + square(5, 5, 10)).sum() == 100 + 100 - 25


def test_a_polygon_beyond_the_image_is_clipped() -> None:
    mask = decoded(square(-10, -10, 15))
    assert mask.sum() == 25
    assert mask[:5, :5].all()


@given(MASKS)
def test_run_lengths_round_trip(mask: np.ndarray) -> None:
    """Pycocotools' compressed string and plain counts both give back the mask."""
    assert np.array_equal(decoded({"size": [HEIGHT, WIDTH], "counts": compressed(mask)}), mask)
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    plain = {"size": [HEIGHT, WIDTH], "counts": [0, *lengths] if flat[0] else lengths}
    assert np.array_equal(decoded(plain, crowd=True), mask)


@given(MASKS, st.integers(0, 200))
def test_cut_run_lengths_are_refused(mask: np.ndarray, keep: int) -> None:
    counts = compressed(mask)
    if keep < len(counts):
        with pytest.raises(SampleError, match=r"image\.png, object 3"):
            decoded({"size": [HEIGHT, WIDTH], "counts": counts[:keep]})


@given(st.text(max_size=30))
def test_any_text_as_run_lengths_is_decoded_or_refused(counts: str) -> None:
    try:
        mask = decoded({"size": [HEIGHT, WIDTH], "counts": counts})
    except SampleError:
        return
    assert mask.shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([], "empty"),
        ([[]], "three points"),
        ([[1, 2, 3, 4]], "three points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "three points"),
        ([[1, 2, 3, 4, 5, "6"]], "not a coordinate"),
        ([[1, 2, 3, 4, 5, float("nan")]], "not a coordinate"),
        ([[0, 0, 1e9, 0, 1e9, 1e9]], "far outside"),
        (square(100, 100, 5), "covers no pixel"),
        ({"counts": [5, 1195]}, "expected polygons or run lengths"),
        ({"size": [WIDTH, HEIGHT], "counts": [5, 1195]}, r"\[40, 30\], the image is \[30, 40\]"),
        ({"size": [HEIGHT, WIDTH], "counts": [5, 10]}, "cover 15 pixels, the image has 1200"),
        ({"size": [HEIGHT, WIDTH], "counts": [-5, 1205]}, "non-negative"),
        ({"size": [HEIGHT, WIDTH], "counts": [1200]}, "covers no pixel"),
        (None, "expected polygons"),
        ("polygon", "expected polygons"),
    ],
)
def test_a_malformed_segmentation_names_the_object(segmentation: Any, reason: str) -> None:
    with pytest.raises(SampleError, match=f"image.png, object 3 .dog.: .*{reason}"):
        decoded(segmentation)


def mask_file(path: Path, picture: Image.Image) -> np.ndarray:
    picture.save(path)
    return object_mask(SAMPLE, Annotation(3, "dog", 1.0, (0, 0, 1, 1), False, path))


def test_mask_images_of_every_mode_agree(tmp_path: Path) -> None:
    truth = np.zeros((HEIGHT, WIDTH), bool)
    truth[3:9, 4:20] = True
    levels = truth.astype(np.uint8)
    palette = Image.fromarray(levels).convert("P")
    alpha = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    alpha[..., 3] = levels * 255
    pictures = {
        "bits": Image.fromarray(truth),
        "one": Image.fromarray(levels),
        "gray": Image.fromarray(levels * 255),
        "deep": Image.fromarray(levels.astype(np.uint16) * 1000),
        "colour": Image.fromarray(np.stack([levels * 0, levels * 90, levels * 0], axis=-1)),
        "palette": palette,
        "alpha": Image.fromarray(alpha),
    }
    for name, picture in pictures.items():
        assert np.array_equal(mask_file(tmp_path / f"{name}.png", picture), truth), name


def test_a_mask_image_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="the mask is 30 x 40 pixels, the image 40 x 30"):
        mask_file(tmp_path / "m.png", Image.new("L", (30, 40), 255))
    with pytest.raises(SampleError, match="covers no pixel"):
        mask_file(tmp_path / "m.png", Image.new("L", (WIDTH, HEIGHT), 0))


def within(segmentation: Any, box: tuple[float, float, float, float]) -> np.ndarray:
    text = json.dumps(segmentation).encode()
    annotation = Annotation(3, "dog", 1.0, (0, 0, 1, 1), False, text)
    return object_mask(SAMPLE, annotation, vertices_within=box)


def test_vertices_outside_a_rectangle_are_dropped_and_the_rest_joined_up() -> None:
    box = (5.0, 0.0, 35.0, 30.0)
    inside, across = square(8, 8, 10), [[30, 4, 38, 12, 30, 20, 22, 12]]
    np.testing.assert_array_equal(within(inside, box), decoded(inside))
    np.testing.assert_array_equal(within(across, box), decoded([[30, 4, 30, 20, 22, 12]]))
    np.testing.assert_array_equal(within([*inside, [36, 1, 39, 1, 39, 4]], box), decoded(inside))


def test_an_outline_without_three_vertices_left_is_refused() -> None:
    with pytest.raises(SampleError, match="three vertices"):
        within(square(30, 8, 8), (5.0, 0.0, 35.0, 30.0))


def test_run_lengths_have_no_vertices_to_drop() -> None:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[2:9, 0:39] = True
    runs = {"size": [HEIGHT, WIDTH], "counts": compressed(mask)}
    np.testing.assert_array_equal(within(runs, (5.0, 0.0, 35.0, 30.0)), mask)
