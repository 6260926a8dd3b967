"""The basic colour word of a set of pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

COLOURS = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "gray",
    "white",
)
"""The eleven basic colour terms of English."""

# Upper hue border of red, orange, yellow, green, blue, purple, pink, and red again, in degrees.
_HUES = (16.0, 42.0, 68.0, 165.0, 255.0, 290.0, 340.0)


def colour_word(pixels: Float[np.ndarray, "n 3"]) -> str:
    """Name the colour that most of the pixels have.

    Every pixel is named by hue, saturation and lightness and votes; outlines are seldom more
    than a fifth of a thing, so that a plain majority does.

    Args:
        pixels: RGB, 0 to 255, one row or more.

    Returns:
        One of `COLOURS`.
    """
    return COLOURS[int(np.bincount(_numbers(pixels), minlength=len(COLOURS)).argmax())]


def pixel_words(pixels: Float[np.ndarray, "n 3"]) -> list[str]:
    """Name the colour of each pixel, as `colour_word` counts it."""
    return [COLOURS[i] for i in _numbers(pixels)]


def _numbers(pixels: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """The colour of each pixel by its number in `COLOURS`."""
    rgb = np.asarray(pixels, np.float32) / 255
    high, low = rgb.max(1), rgb.min(1)
    chroma = high - low
    red, green, blue = rgb.T
    span = np.maximum(chroma, 1e-6)
    hue = np.where(
        high == red,
        ((green - blue) / span) % 6,
        np.where(high == green, (blue - red) / span + 2, (red - green) / span + 4),
    )
    named = np.digitize(hue * 60, _HUES) % 7
    warm = (named <= 2) & (high < 0.68) | (named == 1) & (chroma < 0.45)
    named = np.where(warm & (chroma > 0.12), COLOURS.index("brown"), named)
    pink = (named == 0) & (low > 0.42) & (high > 0.75)
    named = np.where(pink, COLOURS.index("pink"), named)
    light = (high + low) / 2
    neutral = (chroma < 0.12) | (light < 0.14) | (light > 0.93)
    grey = np.where(light < 0.28, 8, np.where(light > 0.78, 10, 9))
    return np.where(neutral, grey, named)
