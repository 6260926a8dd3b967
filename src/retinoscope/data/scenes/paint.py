"""Paint a thing in one colour, so that its colour is no matter of opinion."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

_RAMPS = {
    "red": ((185, 10, 25), (250, 80, 80)),
    "orange": ((190, 85, 10), (255, 180, 80)),
    "yellow": ((190, 160, 10), (255, 240, 110)),
    "green": ((15, 90, 30), (130, 225, 130)),
    "blue": ((15, 40, 130), (110, 165, 250)),
    "purple": ((75, 20, 130), (190, 140, 245)),
    "pink": ((205, 60, 130), (255, 175, 215)),
    "brown": ((70, 40, 15), (165, 110, 65)),
}

PAINTS: tuple[str, ...] = tuple(_RAMPS)
"""Colours that things are painted in; black, gray and white are left to outlines and grounds."""


def repaint(
    pixels: Float32[np.ndarray, "h w 3"], paint: str, gamma: float
) -> Float32[np.ndarray, "h w 3"]:
    """Give pixels one colour and keep what is light and dark in them.

    Every pixel becomes a point between a dark and a light shade of the colour, all of which
    `colour_word` calls by the same name.

    Args:
        pixels: RGB, 0 to 255.
        paint: one of `PAINTS`.
        gamma: bends the shades, below 1 lighter, above 1 darker.

    Returns:
        RGB, 0 to 255.
    """
    dark, light = np.array(_RAMPS[paint], np.float32)
    shade = pixels @ np.array((0.299 / 255, 0.587 / 255, 0.114 / 255), np.float32)
    shade = np.clip(shade, 0, 1)[..., None] ** np.float32(gamma)
    return dark + shade * (light - dark)
