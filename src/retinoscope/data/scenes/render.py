"""Draw a layout: an image, and masks of what is seen and of what is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from retinoscope.data.scenes.background import paint_background
from retinoscope.data.scenes.colour import colour_word
from retinoscope.data.scenes.compose import SceneObject, mask_box
from retinoscope.data.scenes.language import Fact
from retinoscope.data.scenes.layout import SIZE
from retinoscope.data.scenes.layouts import Layout, Thing
from retinoscope.data.scenes.sprites import SpriteSplit
from retinoscope.errors import DataError


@dataclass(frozen=True)
class Picture:
    """A drawn layout.

    Attributes:
        image: RGB, (192, 192, 3), 0 to 255.
        objects: the things in the layout's order, from back to front; their row and column are
            those of the whole thing, hidden or not.
        layout: what was drawn.
    """

    image: UInt8[np.ndarray, "192 192 3"]
    objects: tuple[SceneObject, ...]
    layout: Layout

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The things as language sees them."""
        return tuple(o.fact for o in self.objects)

    @property
    def in_front(self) -> tuple[tuple[int, int], ...]:
        """Pairs (front, behind) of things of which the first hides a part of the second."""
        return tuple(
            (j, i)
            for i, behind in enumerate(self.objects)
            for j, front in enumerate(self.objects)
            if j > i and (front.whole & behind.whole).any()
        )


def render(layout: Layout) -> Picture:
    """Draw a layout; equal layouts give equal pixels.

    Layouts that share their seed share background and noise: they differ only where their things
    do.

    Args:
        layout: see `arrange`.

    Raises:
        DataError: a thing leaves the image, or is wholly hidden.
    """
    rng = np.random.default_rng(layout.seed)
    pixels = paint_background(layout.theme, SIZE, rng)
    grain = rng.uniform(0, 6)
    # Drawn before the things, so that it is the same whatever stands in front of it.
    noise = rng.standard_normal(pixels.shape, np.float32) * np.float32(grain)
    owner = np.full((SIZE, SIZE), -1, np.int8)
    wholes = []
    for i, thing in enumerate(layout.things):
        drawn = thing.draw(layout.sprites)
        left, top, right, bottom = thing.box(layout.sprites)
        if min(left, top) < 0 or max(right, bottom) > SIZE:
            raise DataError(
                f"the {thing.name} at ({thing.x}, {thing.y}), {thing.size} px long, leaves the "
                f"image of {SIZE} px; move it inwards"
            )
        window = (slice(top, bottom), slice(left, right))
        part = pixels[window]
        part += drawn.alpha[..., None] * (drawn.colour - part)
        owner[window][drawn.mask] = i
        whole = np.zeros((SIZE, SIZE), bool)
        whole[window] = drawn.mask
        wholes.append(whole)
    image = (pixels + noise).clip(0, 255).astype(np.uint8)
    objects = tuple(
        _describe(thing, owner == i, whole, layout.sprites)
        for i, (thing, whole) in enumerate(zip(layout.things, wholes, strict=True))
    )
    return Picture(image, objects, layout)


def _describe(
    thing: Thing,
    seen: Bool[np.ndarray, "192 192"],
    whole: Bool[np.ndarray, "192 192"],
    sprites: SpriteSplit,
) -> SceneObject:
    if not seen.any():
        raise DataError(f"the {thing.name} at ({thing.x}, {thing.y}) is hidden; move it")
    left, top, right, bottom = thing.box(sprites)
    own = thing.draw(sprites).colour[seen[top:bottom, left:right]]
    return SceneObject(
        name=thing.name,
        mask=seen,
        whole=whole,
        box=mask_box(seen),
        row=thing.row,
        column=thing.column,
        colour=thing.paint or colour_word(own),
        painted=thing.paint is not None,
        size=float(thing.size),
    )
