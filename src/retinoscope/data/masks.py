"""An object's pixels as a boolean array, from polygons, run lengths or a mask image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as coco_mask

from retinoscope.data.images import opened
from retinoscope.data.pixels import covered
from retinoscope.data.reading import parse_json
from retinoscope.data.samples import Annotation, Sample, Segment
from retinoscope.data.segments import segment_mask
from retinoscope.errors import SampleError
from retinoscope.geometry.grid import Box

Mask = Bool[np.ndarray, "height width"]

FAR = 10
"""Polygon vertices may lie outside the image (they are clipped), but not this many times its
size away: the rasteriser's memory grows with the length of the outline."""


def object_mask(
    sample: Sample, annotation: Annotation, *, vertices_within: Box | None = None
) -> Mask:
    """The object's pixels.

    Polygons reaching beyond the image are clipped to it. Crowd regions are decoded like any
    other; whether to use them is for the selection to say.

    Args:
        sample: the image.
        annotation: the object.
        vertices_within: drop the polygons' vertices that lie outside this rectangle, and polygons
            with fewer than three left, as the original code does; None keeps them all.

    Returns:
        Boolean [height, width] of the upright original image, at least one pixel True.

    Raises:
        SampleError: the segmentation is missing, broken, empty or of another size than the image.
    """
    try:
        if isinstance(annotation.segmentation, Path):
            mask = mask_image(annotation.segmentation)
        elif isinstance(annotation.segmentation, Segment):
            mask = segment_mask(annotation.segmentation)
        else:
            shape = (sample.height, sample.width)
            mask = _decode(parse_json(annotation.segmentation), shape, vertices_within)
        if mask.shape != (sample.height, sample.width):
            raise ValueError(
                f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, the image "
                f"{sample.width} x {sample.height}"
            )
        if not mask.any():
            raise ValueError("the mask covers no pixel of the image")
    except ValueError as error:
        raise SampleError(
            f"{sample.path}, object {annotation.object_id} ({annotation.class_name}): {error}. "
            "Mend the object's segmentation, or remove the object."
        ) from error
    return mask


def mask_image(path: Path) -> Mask:
    """The object in a mask image: every pixel that is neither black nor transparent.

    It is the decoded colour that counts, not how the file stores it: index 0 of a palette may be
    white, and CMYK's zeros are. Gray samples of 16 or 32 bits count at their full precision.

    Raises:
        SampleError: the file is missing, broken or not an image, or its samples are no colours.
    """
    with opened(path) as image:
        return covered(image)


def _decode(segmentation: Any, shape: tuple[int, int], within: Box | None) -> Mask:
    """COCO's `segmentation` value, polygons or run lengths, as a mask of the image's shape."""
    height, width = shape
    if isinstance(segmentation, list):
        polygons = _checked_polygons(segmentation, shape)
        if within is not None:
            polygons = _vertices_within(polygons, within)
        rles = coco_mask.frPyObjects(polygons, height, width)
        return _fill(_run_lengths(coco_mask.merge(rles)["counts"]), shape)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError('expected polygons or run lengths {"size", "counts"}')
    if segmentation["size"] != [height, width]:
        raise ValueError(
            f"run lengths for [height, width] {segmentation['size']}, the image is "
            f"[{height}, {width}]"
        )
    counts = segmentation["counts"]
    if isinstance(counts, str):
        return _fill(_run_lengths(counts), shape)
    if not isinstance(counts, list) or not all(isinstance(c, int) and c >= 0 for c in counts):
        raise ValueError("run lengths must be non-negative whole numbers or COCO's string")
    return _fill(counts, shape)


def _vertices_within(polygons: list[Any], box: Box) -> list[Any]:
    """The polygons without the vertices outside a rectangle; its far edges are outside."""
    x0, y0, x1, y1 = box
    kept: list[list[float]] = []
    for polygon in polygons:
        points = zip(polygon[0::2], polygon[1::2], strict=True)
        inside = [xy for xy in points if x0 <= xy[0] < x1 and y0 <= xy[1] < y1]
        if len(inside) >= 3:
            kept.append([value for xy in inside for value in xy])
    if not kept:
        raise ValueError("no polygon has three vertices inside the rectangle that is asked for")
    return kept


def _checked_polygons(polygons: list[Any], shape: tuple[int, int]) -> list[Any]:
    """The polygons, each of at least three finite points near the image.

    pycocotools would take a list of four numbers for a box, and crashes on wild ones.
    """
    if not polygons:
        raise ValueError("the segmentation is empty")
    reach = FAR * max(shape)
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError("a polygon needs x, y of at least three points")
        for value in polygon:
            # Compared with itself and never made a float: a whole number may have 400 digits.
            if not isinstance(value, int | float) or value != value:
                raise ValueError(f"a polygon holds {value!r}, which is not a coordinate")
            if not -reach <= value <= reach:
                raise ValueError(f"a polygon reaches {str(value)[:20]}, far outside the image")
    return polygons


def _run_lengths(counts: str | bytes) -> list[int]:
    """The lengths in COCO's compressed RLE string.

    Five bits a character from 48 upwards, the lowest first, bit 5 says that more follow, the last
    bit 4 is the sign; from the fourth length on, each is the difference to the one two before
    (pycocotools' maskApi.c, `rleFrString`). Read here since `pycocotools.mask.decode` returns
    uninitialised memory where the lengths don't fill the image.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in counts.encode() if isinstance(counts, str) else counts:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError("the run lengths' string holds a character that COCO doesn't use")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        if len(lengths) > 2:
            value += lengths[-2]
        lengths.append(value)
        value = shift = 0
    if shift:
        raise ValueError("the run lengths' string ends within a number")
    return lengths


def _fill(lengths: list[int], shape: tuple[int, int]) -> Mask:
    """Alternate runs of background and object, down the columns, as a mask of the shape."""
    height, width = shape
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise ValueError(
            f"the run lengths cover {sum(lengths)} pixels, the image has {height * width}"
        )
    object_run = np.arange(len(lengths)) % 2 == 1
    return np.ascontiguousarray(np.repeat(object_run, lengths).reshape(width, height).T)
