"""Place two things so that their boxes overlap by a chosen share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.dealing import Hand
from retinoscope.data.scenes.layout import BANDS, SIZE
from retinoscope.data.scenes.layouts import Thing, iou
from retinoscope.data.scenes.sprites import SpriteSplit

IOUS = (0.0, 0.1, 0.25, 0.5)
"""Intersection over union of the whole boxes of a pair, each in a quarter of the pairs."""

TOLERANCE = 0.02
"""By how much the IoU of a pair may miss the one that was asked for, in whole pixels."""

SEEN = 0.3
"""The least share of the thing behind that is seen."""

_SIZES = (44, 68)
_TRIES = 12


def place_pair(
    hand: Hand, paints: list[str | None], rng: np.random.Generator, sprites: SpriteSplit
) -> tuple[Thing, Thing]:
    """Place the first two things of a hand.

    Boxes of unlike shape can't overlap by half. Then the second thing takes the next class after
    the one it was dealt, which is the only place where classes are not dealt equally.

    Returns:
        The thing behind and the one in front; which was dealt first is a coin's choice.
    """
    wanted = IOUS[rng.integers(len(IOUS))]
    low, high = _SIZES
    # Like sizes, or a small box could not overlap a large one by half.
    size = low + hand.sizes[0] * (high - low)
    sizes = [int(size), int(size * (0.9 + 0.2 * hand.sizes[1]))]
    first = (rng.random() < 0.5) * 1
    names = list(hand.names[:2])
    while True:
        for _ in range(_TRIES):
            things = [
                Thing(name, SIZE // 2, SIZE // 2, size, paint, int(rng.integers(2**31)))
                for name, size, paint in zip(names, sizes, paints[:2], strict=True)
            ]
            pair = _overlapped(things[first], things[1 - first], wanted, rng, sprites)
            if pair is not None:
                return pair
        following = (NAMES.index(names[1]) + 1) % len(NAMES)
        names[1] = NAMES[following if NAMES[following] not in hand.names else following - 2]


def _overlapped(
    back: Thing, front: Thing, wanted: float, rng: np.random.Generator, sprites: SpriteSplit
) -> tuple[Thing, Thing] | None:
    """Push the front thing away from the one behind until the IoU is right; None if it never is."""
    angle = rng.uniform(0, 2 * np.pi)
    box, other = back.box(sprites), front.box(sprites)
    steps = np.arange(0, 110, 0.5)[:, None] * (np.cos(angle), np.sin(angle))
    steps = np.unique(steps.round().astype(int), axis=0)
    found = [iou(box, _moved(other, dx, dy)) for dx, dy in steps.tolist()]
    error = np.abs(np.array(found) - wanted)
    if wanted == 0:
        # Just apart: the nearest of the places where nothing is shared.
        error = np.where(error == 0, np.abs(steps).sum(1), np.inf)
        if not np.isfinite(error.min()):
            return None
    elif error.min() > TOLERANCE:
        return None
    dx, dy = steps[error.argmin()].tolist()
    front = replace(front, x=front.x + dx, y=front.y + dy)
    if _seen(back, front, sprites) < SEEN:
        return None
    return _into_image(back, front, rng)


def _moved(box: tuple[int, int, int, int], dx: int, dy: int) -> tuple[int, int, int, int]:
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy


def _seen(back: Thing, front: Thing, sprites: SpriteSplit) -> float:
    """The share of the thing behind that the one in front leaves to be seen."""
    whole = back.draw(sprites).mask
    left, top, *_ = back.box(sprites)
    x, y, right, bottom = front.box(sprites)
    canvas = np.zeros((3 * SIZE, 3 * SIZE), bool)
    canvas[SIZE + y : SIZE + bottom, SIZE + x : SIZE + right] = front.draw(sprites).mask
    over = canvas[SIZE + top :, SIZE + left :][: whole.shape[0], : whole.shape[1]]
    return float((whole & ~over).sum() / whole.sum())


def _into_image(back: Thing, front: Thing, rng: np.random.Generator) -> tuple[Thing, Thing] | None:
    """Move the pair to a place where both are whole and clear of the borders between thirds."""
    for _ in range(40):
        dx, dy = rng.integers(-SIZE // 2, SIZE // 2, 2).tolist()
        pair = tuple(replace(t, x=t.x + dx, y=t.y + dy) for t in (back, front))
        if all(_fits(t.x, t.size) and _fits(t.y, t.size) for t in pair):
            return pair[0], pair[1]
    return None


def _fits(centre: int, size: int) -> bool:
    inside = size / 2 + 1 <= centre <= SIZE - size / 2 - 1
    return inside and any(low <= centre / SIZE <= high for low, high in BANDS)
