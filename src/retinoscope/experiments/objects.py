"""The objects of a whole image: their pixels, their places and their visual tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from retinoscope.data import Annotation, Sample, object_mask
from retinoscope.engine import Recording
from retinoscope.errors import SampleError, SelectionError
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.settings import Settings
from retinoscope.tokens import TokenSet

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the original image."""


@dataclass(frozen=True, eq=False)
class Placed:
    """An annotated object with its pixels and its place.

    Attributes:
        annotation: the object.
        mask: True on what is seen of it, in the image's pixels.
        box: of the whole object where the data knows its hidden parts, else of what is seen.
        size: width and height of the image in pixels.
    """

    annotation: Annotation
    mask: Bool[np.ndarray, "height width"]
    box: Box
    size: tuple[int, int]

    @property
    def object_id(self) -> int:
        """The object's id."""
        return self.annotation.object_id

    @property
    def class_name(self) -> str:
        """The object's class."""
        return self.annotation.class_name

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box in pixels, x and y."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def cell(self) -> tuple[int, int]:
        """Row and column of the centre in a grid of 3 x 3, each 0 to 2."""
        x, y = (int(min(2, 3 * c // side)) for c, side in zip(self.centre, self.size, strict=True))
        return y, x


def placed(sample: Sample) -> tuple[list[Placed], list[tuple[int, str]]]:
    """The objects of an image that are single things, and those that can't be used and why.

    Returns:
        The objects in the data's order, and (object id, reason) of the others.
    """
    found: list[Placed] = []
    unusable: list[tuple[int, str]] = []
    for one in sample.annotations:
        if one.crowd:
            unusable.append((one.object_id, "it is a crowd, not one object"))
            continue
        try:
            mask = object_mask(sample, one)
            whole = mask if one.amodal is None else object_mask(sample, one.whole)
        except SampleError as error:
            unusable.append((one.object_id, str(error)))
            continue
        ys, xs = np.nonzero(whole)
        box = (float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
        found.append(Placed(one, mask, box, (sample.width, sample.height)))
    return found, unusable


@dataclass(frozen=True, eq=False)
class Scene:
    """An image's objects with their tokens.

    Attributes:
        things: the objects by id.
        tokens: the visual tokens on each, by id.
    """

    things: Mapping[int, Placed]
    tokens: Mapping[int, TokenSet]

    @property
    def background(self) -> TokenSet:
        """The visual tokens on no object."""
        first, *others = self.tokens.values()
        for tokens in others:
            first = first | tokens
        return ~first


def scene_of(
    recording: Recording, sample: Sample, settings: Settings
) -> tuple[Scene, list[tuple[int, str]]]:
    """An image's objects with their tokens, and those that can't be used and why.

    Args:
        recording: any run on the image.
        sample: the image.
        settings: which patches are an object's.
    """
    things: dict[int, Placed] = {}
    tokens = {}
    found, unusable = placed(sample)
    for thing in found:
        try:
            tokens[thing.object_id] = object_tokens(recording.layout, thing.mask, settings)
        except SelectionError as error:
            unusable.append((thing.object_id, str(error)))
        else:
            things[thing.object_id] = thing
    return Scene(things, tokens), unusable
