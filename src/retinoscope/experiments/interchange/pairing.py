"""The corrupt image: the same scene with another class in the object's place, or noise there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool
from PIL import Image

from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.redraw import layout_of, thing_at
from retinoscope.data.scenes.render import render
from retinoscope.errors import DataError
from retinoscope.experiments.curation import noise_object
from retinoscope.experiments.target import Target, random_source

TRIES = 8
"""Other classes that are tried in an object's place: some are of another shape and don't fit."""


@dataclass(frozen=True, eq=False)
class Counterpart:
    """The corrupt image.

    Attributes:
        pair: "exchange" or "noise".
        image: as large as the clean one, and equal to it outside `mask`.
        mask: where the two differ: the object's pixels, and those of what stands in its place.
        other: the class that stands there; "" for noise.
    """

    pair: str
    image: Image.Image
    mask: Bool[np.ndarray, "height width"]
    other: str = ""


def counterpart(target: Target, seed: int) -> Counterpart:
    """A minimal pair where the scene can be drawn again, else the object's pixels as noise.

    Args:
        target: the object.
        seed: with its id it decides what stands in its place.
    """
    pixels = np.array(target.image)
    layout = layout_of(target.sample, pixels)
    index = None if layout is None else thing_at(layout, target.mask)
    if layout is not None and index is not None:
        for name in _others(target, seed):
            thing = replace(layout.things[index], name=name)
            things = (*layout.things[:index], thing, *layout.things[index + 1 :])
            try:
                drawn = render(replace(layout, things=things))
            except DataError:  # it is too wide for its place
                continue
            # Soft edges and shadows lie outside the masks of both.
            mask = target.mask | (drawn.image != pixels).any(-1)
            return Counterpart("exchange", Image.fromarray(drawn.image), mask, name)
    return Counterpart("noise", noise_object(target, seed), target.mask)


def _others(target: Target, seed: int) -> Sequence[str]:
    """Classes that the image does not hold, in a random order."""
    present = {one.class_name for one in target.sample.annotations}
    absent = [name for name in NAMES if name not in present]
    drawn = random_source(seed, target.annotation.object_id, "interchange")
    return [absent[i] for i in drawn.permutation(len(absent))[:TRIES]]
