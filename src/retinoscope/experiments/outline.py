"""Outlines of masks and of selections, for drawing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
from contourpy import contour_generator
from jaxtyping import Bool

from retinoscope.experiments.montage import Montage
from retinoscope.results.sheet import ObjectOutline
from retinoscope.tokens import TokenLayout

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


def selected(
    shown: Montage, layout: TokenLayout, positions: Iterable[int], name: str = "the selection"
) -> ObjectOutline:
    """The patches of some positions, outlined along their edges; text has no patch."""
    wanted = set(positions)
    chosen = [index for index, position in enumerate(layout.visual) if position in wanted]
    width, height = shown.picture.size
    mask = np.zeros((height, width), dtype=bool)
    for x0, y0, x1, y1 in shown.boxes[chosen].round().astype(int).tolist():
        mask[max(0, y0) : y1, max(0, x0) : x1] = True
    return ObjectOutline(name, outlines(mask), tuple(chosen))
