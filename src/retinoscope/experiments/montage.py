"""All that a prompt shows as one picture: what a page of one picture shows of several images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from retinoscope.errors import SelectionError
from retinoscope.models import Prompt
from retinoscope.tokens import Medium, OfImage, TokenLayout, VisualSpan

GAP = 0.04
"""Space between two pictures, as a share of the larger picture's longer side."""


@dataclass(frozen=True, eq=False)
class Montage:
    """One picture with the place of every visual token, ascending by position.

    A single image is itself. Several images, and the frames of a video, stand side by side; of
    frames that share tokens the first is shown.

    Attributes:
        picture: RGB.
        boxes: each token's (x0, y0, x1, y1) in the picture's pixels; may leave it.
        cells: each token's (tile, row, column); no two images share a tile.
    """

    picture: Image.Image
    boxes: Float[np.ndarray, "tokens 4"]
    cells: Int[np.ndarray, "tokens 3"]


def montage(layout: TokenLayout, prompt: Prompt) -> Montage:
    """The picture of a prompt.

    Args:
        layout: where the prompt's visual tokens are.
        prompt: its images and videos.

    Raises:
        SelectionError: nothing is shown.
        TokenMapError: the tokens have no place in the image.
    """
    spans = layout.spans
    if not spans:
        raise SelectionError(
            "The prompt holds no image, and a page shows the patches of images; the words of its "
            "text are in view.lens(view.tokens.text).frame()."
        )
    pictures = [_picture(prompt, span.medium) for span in spans]
    if len(spans) == 1:
        grid = spans[0].grid
        return Montage(pictures[0], grid.boxes, grid.cells)
    extents = [_extent(span) for span in spans]
    offsets, size = _arranged(extents)
    canvas = Image.new("RGB", size, "white")
    for picture, offset in zip(pictures, offsets, strict=True):
        canvas.paste(picture, offset)
    boxes = [span.grid.boxes + np.tile(at, 2) for span, at in zip(spans, offsets, strict=True)]
    return Montage(canvas, np.concatenate(boxes), _cells(spans))


def _picture(prompt: Prompt, medium: Medium) -> Image.Image:
    if isinstance(medium, OfImage):
        return prompt.images[medium.image]
    return prompt.videos[medium.video].frames[medium.frames[0]]


def _extent(span: VisualSpan) -> tuple[int, int, int, int]:
    """The picture and those of its patches that reach beyond it (padding)."""
    (x0, y0), (x1, y1) = span.grid.boxes[:, :2].min(0), span.grid.boxes[:, 2:].max(0)
    width, height = span.grid.size
    return (
        math.floor(min(x0, 0)),
        math.floor(min(y0, 0)),
        math.ceil(max(x1, width)),
        math.ceil(max(y1, height)),
    )


def _arranged(
    extents: list[tuple[int, int, int, int]],
) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Where each picture's corner goes in rows of a near square, and the size of the whole."""
    sides = [max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in extents]
    gap, per_row = max(1, round(GAP * max(sides))), math.ceil(math.sqrt(len(extents)))
    offsets: list[tuple[int, int]] = []
    top, widest = 0, 0
    for start in range(0, len(extents), per_row):
        left, lowest = 0, 0
        for x0, y0, x1, y1 in extents[start : start + per_row]:
            offsets.append((left - x0, top - y0))
            left += x1 - x0 + gap
            lowest = max(lowest, y1 - y0)
        widest = max(widest, left - gap)
        top += lowest + gap
    return offsets, (widest, top - gap)


def _cells(spans: tuple[VisualSpan, ...]) -> Int[np.ndarray, "tokens 3"]:
    """Each token's cell, with tiles numbered through all images."""
    found, tiles = [], 0
    for span in spans:
        found.append(span.grid.cells + np.array([tiles, 0, 0]))
        tiles += 1 + int(span.grid.cells[:, 0].max())
    return np.concatenate(found)
