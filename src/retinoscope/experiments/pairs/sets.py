"""Which tokens are replaced, of two objects of one image: each one's own, shared, and background.

Every set is made once for an image, so that questions that share it share its computation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retinoscope.errors import SelectionError
from retinoscope.experiments.matching import distances, matched_by_distance
from retinoscope.experiments.objects import Placed, Scene
from retinoscope.tokens import TokenSet


@dataclass(frozen=True, eq=False)
class Replaced:
    """A named set of tokens, as in PairRecord."""

    name: str
    tokens: TokenSet


def own_sets(scene: Scene, asked: int) -> Iterator[Replaced]:
    """The sets of the asked object alone."""
    tokens = scene.tokens[asked]
    yield Replaced("own", tokens)
    yield Replaced("own+1", tokens.dilate(1))


def other_sets(scene: Scene, asked: int, other: int, seed: int) -> Iterator[Replaced | str]:
    """The sets of the other object of a pair, and why one can't be had.

    Args:
        scene: the image.
        asked: id of the object that is asked about.
        other: id of the other one.
        seed: of the background.

    Yields:
        Sets that hold tokens. Where the objects share no patch there is none of what they share,
        nor the asked object's without it, which is its own.
    """
    own, theirs = scene.tokens[asked], scene.tokens[other]
    near = theirs.dilate(1) - own
    sets = {"other": theirs - own, "other+1": near}
    if theirs & own:
        sets |= {"shared": theirs & own, "own only": own - theirs}
    yield from (Replaced(name, tokens) for name, tokens in sets.items() if tokens)
    if not near:
        return
    try:
        point = scene.things[asked].centre
        yield Replaced("background", matched_by_distance(near, scene.background, point, seed))
    except SelectionError as error:
        yield str(error)


def apart(tokens: TokenSet, thing: Placed) -> float:
    """Mean distance of tokens from an object's centre, as a share of the image's diagonal."""
    return float(np.mean(list(distances(tokens, thing.centre).values())) / np.hypot(*thing.size))


def iou(one: Placed, other: Placed) -> float:
    """Intersection over union of two whole objects' boxes, 0 to 1."""
    left, top = (max(one.box[i], other.box[i]) for i in (0, 1))
    right, bottom = (min(one.box[i], other.box[i]) for i in (2, 3))
    shared = max(right - left, 0.0) * max(bottom - top, 0.0)
    both = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one.box, other.box))
    return shared / (both - shared)


def distance(one: Placed, other: Placed) -> float:
    """Between two objects' centres, as a share of the image's diagonal."""
    return float(np.hypot(*np.subtract(one.centre, other.centre)) / np.hypot(*one.size))
