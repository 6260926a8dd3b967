"""Deal classes, colours and sizes to things so that none goes with a place more than another.

What is dealt runs through permutations: over every 32 scenes of a kind each slot of a layout gets
every class once, every paint four times and every 32nd of the range of sizes once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.paint import PAINTS

ROUND = len(NAMES)
"""Scenes after which everything has been dealt equally often."""


@dataclass(frozen=True)
class Hand:
    """What the slots of one scene are dealt.

    Attributes:
        names: class names, all different.
        paints: colours, all different.
        sizes: numbers in [0, 1), from the smallest size to the largest.
    """

    names: tuple[str, ...]
    paints: tuple[str, ...]
    sizes: tuple[float, ...]


def deal(seed: tuple[int, ...], index: int, count: int) -> Hand:
    """Deal one scene.

    Args:
        seed: of the collection and the kind of layout.
        index: number of the scene.
        count: slots, at most as many as there are paints.
    """
    turn, within = divmod(index, ROUND)
    rng = np.random.default_rng((*seed, turn))
    names = _turn(rng, ROUND, within, count)
    paints = _turn(rng, len(PAINTS), within, count)
    # Sizes of the slots of one scene have nothing to do with each other.
    sizes = [int(rng.permutation(ROUND)[within]) for _ in range(count)]
    return Hand(
        tuple(NAMES[i] for i in names),
        tuple(PAINTS[i] for i in paints),
        tuple(size / ROUND for size in sizes),
    )


def _turn(rng: np.random.Generator, length: int, within: int, count: int) -> list[int]:
    """Different entries of a permutation, each slot's `within` steps on from where it began."""
    order, starts = rng.permutation(length), rng.permutation(length)
    return [int(order[(within + start) % length]) for start in starts[:count]]
