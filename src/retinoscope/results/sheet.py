"""The logit lens of one whole image, as data: what a lens page draws, apart from its drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ObjectOutline:
    """An object to outline on a lens page.

    Attributes:
        class_name: the category's name.
        polygons: closed outlines in original-image pixels, each a tuple of (x, y) points.
        tokens: indices (into the sheet's tokens) of the visual tokens on the object.
    """

    class_name: str
    polygons: tuple[tuple[tuple[float, float], ...], ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class LensSheet:
    """Top words of every visual token at every layer, for one image and one condition.

    L layers (0 = embedding output), N visual tokens, K words each, W tracked words.

    Attributes:
        title: what to call the image (file name or id).
        prompt: the question that was asked.
        answer: the model's answer.
        model: the model's name.
        condition: "clean", or the intervention in words.
        image: the original image as PNG or JPEG bytes.
        size: (width, height) of the original image in pixels.
        boxes: float32 [N, 4], each token's box in original-image pixels, (x0, y0, x1, y1).
        cells: int32 [N, 3], each token's (tile, row, column) in its grid.
        vocabulary: the decoded words that `top` refers to (text, never markup).
        top: int32 [L, N, K], indices into `vocabulary`, best first.
        probabilities: float32 [L, N, K], their probabilities, 0 to 1.
        entropy: float32 [L, N], in nats.
        tracked: words whose probability is kept for every token and layer (class words).
        tracked_log_probability: float32 [W, L, N], natural log.
        tracked_rank: int32 [W, L, N], 0 is the top.
        objects: the objects to outline.
    """

    title: str
    prompt: str
    answer: str
    model: str
    condition: str
    image: bytes
    size: tuple[int, int]
    boxes: np.ndarray[Any, np.dtype[np.float32]]
    cells: np.ndarray[Any, np.dtype[np.int32]]
    vocabulary: tuple[str, ...]
    top: np.ndarray[Any, np.dtype[np.int32]]
    probabilities: np.ndarray[Any, np.dtype[np.float32]]
    entropy: np.ndarray[Any, np.dtype[np.float32]]
    tracked: tuple[str, ...]
    tracked_log_probability: np.ndarray[Any, np.dtype[np.float32]]
    tracked_rank: np.ndarray[Any, np.dtype[np.int32]]
    objects: tuple[ObjectOutline, ...]
