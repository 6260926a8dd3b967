"""A scene before it is drawn: which things stand where, how large, in which colour.

A layout is plain data and decides every pixel, so that a scene that differs in one thing alone is
the same layout with one thing replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from retinoscope.data.scenes.colour import COLOURS
from retinoscope.data.scenes.language import Fact
from retinoscope.data.scenes.layout import third
from retinoscope.data.scenes.sprites import SpriteSplit
from retinoscope.data.scenes.stamps import Stamp, stamp
from retinoscope.errors import DataError

LayoutKind = Literal["scatter", "overlap", "rows", "groups", "congruent", "twins"]

KINDS: tuple[LayoutKind, ...] = ("scatter", "overlap", "rows", "groups", "congruent", "twins")
"""The kinds of layout; `arrange` says what each is."""

PATCH = 16
"""Side of a patch of the embedded model in pixels."""


@dataclass(frozen=True)
class Thing:
    """One thing of a layout.

    Attributes:
        name: class name.
        x, y: centre of its whole box in pixels.
        size: longest side of the box in pixels.
        paint: the colour it is painted in, or None where it has its own.
        style: seed of how it is drawn.
    """

    name: str
    x: int
    y: int
    size: int
    paint: str | None
    style: int

    @property
    def row(self) -> int:
        """Third of the image its centre lies in, 0 (top) to 2."""
        return third(self.y)

    @property
    def column(self) -> int:
        """Third of the image its centre lies in, 0 (left) to 2."""
        return third(self.x)

    def draw(self, sprites: SpriteSplit) -> Stamp:
        """The thing by itself."""
        return stamp(self.name, self.size, self.paint, self.style, sprites)

    def box(self, sprites: SpriteSplit) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the whole thing in pixels, right and bottom exclusive."""
        drawn = self.draw(sprites)
        left, top = self.x - drawn.width // 2, self.y - drawn.height // 2
        return left, top, left + drawn.width, top + drawn.height

    @property
    def block(self) -> tuple[int, int, int]:
        """The square of patches it stands in, of a congruent layout: row, column, patches a side.

        Raises:
            DataError: the thing is not centred on such a square.
        """
        side = -(-self.size // PATCH)
        left, top = (c - side * PATCH // 2 for c in (self.x, self.y))
        if left % PATCH or top % PATCH:
            raise DataError(
                f"a {self.name} of {self.size} px at ({self.x}, {self.y}) is not aligned to the "
                f"patches of {PATCH} px; take things of a congruent layout"
            )
        return top // PATCH, left // PATCH, side


@dataclass(frozen=True)
class Layout:
    """Everything that decides a scene's pixels.

    Attributes:
        kind: how it was arranged.
        theme: whose background it has; it says nothing about the things.
        things: from back to front.
        seed: of background and noise.
        sprites: which renditions, "train" or "heldout".
    """

    kind: LayoutKind
    theme: str
    things: tuple[Thing, ...]
    seed: int
    sprites: SpriteSplit


def imagine_facts(layout: Layout, rng: np.random.Generator) -> tuple[Fact, ...]:
    """The things of a layout as language sees them, without drawing any.

    Things that are not painted are given a colour at random.
    """
    return tuple(
        Fact(t.name, t.row, t.column, t.paint or COLOURS[rng.integers(len(COLOURS))])
        for t in layout.things
    )


def iou(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom), 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    both = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return shared / (both - shared)
