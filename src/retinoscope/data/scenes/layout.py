"""Where the things of a scene stand, decided before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retinoscope.data.scenes.classes import NAMES, THEMES

SIZE = 192
"""Side of a scene in pixels."""

# Centres keep clear of the borders between thirds, so that "left" is never a close call.
BANDS = ((0.0, 0.35), (0.41, 0.59), (0.65, 1.0))
_BORDERS = (0.38, 0.62)
_SIZES = {1: (44, 100), 2: (40, 80), 3: (38, 66)}


@dataclass(frozen=True)
class Placement:
    """One thing of a layout: class name, centre and longest side in pixels."""

    name: str
    x: float
    y: float
    size: float

    @property
    def row(self) -> int:
        """0, 1 or 2 from the top."""
        return third(self.y)

    @property
    def column(self) -> int:
        """0, 1 or 2 from the left."""
        return third(self.x)


def third(coordinate: float) -> int:
    """Return which third of the image (0, 1, 2) a pixel coordinate lies in.

    The middle third is a little narrower than the others: 0.38 to 0.62 of the side.
    """
    return sum(coordinate > border * SIZE for border in _BORDERS)


def arrange(rng: np.random.Generator) -> tuple[str, tuple[Placement, ...]]:
    """Choose a theme and place one to three things, each in its own cell of a 3 x 3 grid.

    Three classes in four come from the theme; a quarter of the scenes with several things
    repeat a class.

    Returns:
        The theme and the things in the order they are drawn.
    """
    theme = tuple(THEMES)[rng.integers(len(THEMES))]
    names = _choose_names(theme, int(rng.choice((1, 2, 3), p=(0.25, 0.4, 0.35))), rng)
    low, high = _SIZES[len(names)]
    sizes = np.exp(rng.uniform(np.log(low), np.log(high), len(names)))
    while True:
        for _ in range(30):
            placements = _place(names, sizes, rng)
            if _apart(placements):
                return theme, placements
        sizes = np.maximum(sizes * 0.93, low)


def _choose_names(theme: str, count: int, rng: np.random.Generator) -> list[str]:
    names: list[str] = []
    repeat = count > 1 and rng.random() < 0.25
    while len(names) < count:
        if repeat and names and (len(names) == 1 or rng.random() < 0.4):
            names.append(names[0])
            continue
        pool = THEMES[theme] if rng.random() < 0.75 else NAMES
        name = pool[rng.integers(len(pool))]
        if name not in names:
            names.append(name)
    return names


def _place(names: list[str], sizes: np.ndarray, rng: np.random.Generator) -> tuple[Placement, ...]:
    cells = rng.permutation(9)[: len(names)]
    found = []
    for name, size, cell in zip(names, sizes.tolist(), cells.tolist(), strict=True):
        # A thing may lose a sliver at the edge of the image, never more.
        edge = (size / 2 - 3) / SIZE
        x, y = (
            SIZE * rng.uniform(max(edge, low), min(1 - edge, high))
            for low, high in (BANDS[cell % 3], BANDS[cell // 3])
        )
        found.append(Placement(name, float(x), float(y), size))
    return tuple(found)


def _apart(placements: tuple[Placement, ...]) -> bool:
    """Whether every two things overlap a little at most."""
    return all(
        max(abs(a.x - b.x), abs(a.y - b.y)) > 0.44 * (a.size + b.size)
        for i, a in enumerate(placements)
        for b in placements[:i]
    )
