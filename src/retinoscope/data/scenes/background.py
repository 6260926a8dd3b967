"""Backgrounds of embedded scenes: colours of a theme, soft texture, and shapes that distract."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw

# Three typical colours of each theme, RGB.
_COLOURS = {
    "park": ((120, 170, 80), (190, 210, 130), (170, 200, 230)),
    "street": ((130, 130, 135), (170, 170, 175), (190, 200, 210)),
    "room": ((200, 180, 190), (180, 150, 130), (220, 210, 200)),
    "kitchen": ((225, 205, 175), (240, 230, 210), (200, 160, 120)),
    "garden": ((60, 110, 50), (110, 150, 70), (140, 110, 80)),
    "sea": ((60, 120, 190), (110, 180, 220), (220, 210, 170)),
}


def paint_background(
    theme: str, size: int, rng: np.random.Generator
) -> Float32[np.ndarray, "size size 3"]:
    """Paint a background without objects.

    Args:
        theme: a key of `THEMES`; one background in four takes another theme's colours.
        size: side in pixels.
        rng: source of every choice.

    Returns:
        RGB values in [0, 255].
    """
    if rng.random() < 0.25:
        theme = tuple(_COLOURS)[rng.integers(len(_COLOURS))]
    palette = np.array(_COLOURS[theme], np.float32)[rng.permutation(3)[:2]]
    first, second = np.clip(palette + rng.normal(0, 20, (2, 3)), 0, 255).astype(np.float32)
    blend = _pattern(size, rng)
    coarse = rng.normal(128, 50, (k := int(rng.choice((3, 6, 12, 24))), k)).clip(0, 255)
    clouds = Image.fromarray(coarse.astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    blend += (np.asarray(clouds, np.float32) / 255 - 0.5) * rng.uniform(0, 1.2)
    blend = np.clip(blend, 0, 1)[..., None]
    pixels = first * (1 - blend) + second * blend
    return _scatter_shapes(pixels, rng)


def _pattern(size: int, rng: np.random.Generator) -> Float32[np.ndarray, "size size"]:
    """Blend weights in [0, 1]: a gradient, a horizon, stripes or nothing."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    which = rng.random()
    if which < 0.35:
        angle = rng.uniform(0, 2 * np.pi)
        ramp = x * np.cos(angle) + y * np.sin(angle)
        return ((ramp - ramp.min()) / np.ptp(ramp)).astype(np.float32)
    if which < 0.65:
        return (1 / (1 + np.exp(-(y - rng.uniform(0.35, 0.75)) * 60))).astype(np.float32)
    if which < 0.8:
        angle, waves = rng.uniform(0, np.pi), rng.uniform(4, 14)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi * waves)
        return ((wave > 0) * rng.uniform(0.3, 1)).astype(np.float32)
    return np.zeros((size, size), np.float32)


def _scatter_shapes(
    pixels: Float32[np.ndarray, "size size 3"], rng: np.random.Generator
) -> Float32[np.ndarray, "size size 3"]:
    """Draw up to four translucent ellipses, rectangles, triangles and lines."""
    size = len(pixels)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    brush = ImageDraw.Draw(image, "RGBA")
    for _ in range(rng.integers(5)):
        x, y = rng.uniform(0, size, 2)
        width = rng.uniform(5, 28)
        height = width * rng.uniform(0.4, 1.2)
        colour = (*(int(c) for c in rng.integers(0, 256, 3)), int(rng.integers(60, 220)))
        box = (x - width, y - height, x + width, y + height)
        which = rng.random()
        if which < 0.35:
            brush.ellipse(box, fill=colour)
        elif which < 0.65:
            brush.rectangle(box, fill=colour)
        elif which < 0.85:
            corners = rng.uniform(-width, width, (3, 2))
            brush.polygon([(float(x + dx), float(y + dy)) for dx, dy in corners], fill=colour)
        else:
            end = rng.uniform(0, size, 2)
            brush.line((x, y, *end), fill=colour, width=int(rng.integers(1, 5)))
    return np.asarray(image, np.float32)
