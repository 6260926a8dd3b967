"""Outlines of masks, for drawing."""

from __future__ import annotations

from typing import cast

import numpy as np
from contourpy import contour_generator
from jaxtyping import Bool

Polygon = tuple[tuple[float, float], ...]


def outlines(mask: Bool[np.ndarray, "height width"]) -> tuple[Polygon, ...]:
    """Closed outlines of a mask, in pixels, one for each separate part or hole.

    Pixel centres lie at half-integers, so that an outline runs along the pixels' edges.
    """
    padded = np.pad(mask.astype(np.float32), 1)
    lines = cast(list[np.ndarray], contour_generator(z=padded, line_type="Separate").lines(0.5))
    return tuple(
        tuple((round(x - 0.5, 1), round(y - 0.5, 1)) for x, y in line.tolist()) for line in lines
    )
