"""What one sample is: an image file, its annotated objects, its questions. Plain data only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from retinoscope.errors import SampleError

Box = tuple[float, float, float, float]
"""x, y of the top left corner, width, height; in pixels of the upright original image."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a panoptic image: the pixels that have its number.

    Attributes:
        path: the PNG, whose pixels are the numbers R + 256 G + 65536 B.
        number: the segment's number; 0 is nothing.
    """

    path: Path
    number: int


Segmentation = bytes | Path | Segment
"""Where an object's pixels are: COCO's `segmentation` value as JSON text (polygons or RLE), the
path of a mask image, or a segment of a panoptic one. It is decoded by `object_mask` only when the
mask is asked for, so that an index over a hundred thousand images stays small."""

Extent = Literal["outline", "box", "approximate"]
"""What the pixels of an object are: its own, all those of its box, or a guess at its place."""

Raw = Mapping[str, Any]
"""Fields of the data set that have no place of their own here, as its file spells them."""

_NOTHING: dict[str, Any] = {}


def _nothing() -> Raw:
    """The one empty mapping that all who have no further fields share."""
    return _NOTHING


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way to an answer.

    Attributes:
        op: what is done: "select", "relate", "filter", "query", "count", "compare"; data sets of
            others keep their own words.
        argument: what it is done with ("dog", "directly left of", "color"), or "".
        object_ids: the objects that the step arrives at, none where it finds nothing or the data
            does not say.
        inputs: numbers of the earlier steps that it goes on from, counted from 0.
    """

    op: str
    argument: str = ""
    object_ids: tuple[int, ...] = ()
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One question about an image.

    Attributes:
        text: the question, as the user would write it.
        answer: the full right answer ("It is a dog."); "" where the data gives none.
        word: the word that makes an answer right ("dog"); "" where the data gives none (the
            paper's question files): then the class name of the selected object is meant.
        kind: what is asked: "position", "relation", "count", "colour", "where", "kind"; "free"
            for questions without a stated kind; other data sets keep their own words.
        object_id: the annotation that the question is about, or None.
        steps: the way to the answer; () where the data gives none.
        choices: the answers to choose from, the right one among them; () for open questions.
        raw: what else the data set says of it.
    """

    text: str
    answer: str = ""
    word: str = ""
    kind: str = "free"
    object_id: int | None = None
    steps: tuple[Step, ...] = ()
    choices: tuple[str, ...] = ()
    raw: Raw = field(default_factory=_nothing, repr=False, hash=False)

    @property
    def stepwise(self) -> bool:
        """Whether one of its steps goes on from another, and it has a word to score."""
        return bool(self.word) and any(step.inputs for step in self.steps)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotated object of an image.

    Attributes:
        object_id: the data set's annotation id.
        class_name: the category's name, as the data set spells it ("traffic light").
        area: the object's area in pixels of the original image.
        box: bounding box, see `Box`.
        crowd: the region covers a group of objects of the class, not one of them.
        segmentation: where the object's pixels are, see `Segmentation`.
        extent: what these pixels are, see `Extent`.
        attributes: words that the data set says of it ("red", "wooden").
        amodal: where the whole object is, hidden parts included; None where the data doesn't say.
        raw: what else the data set says of it.
    """

    object_id: int
    class_name: str
    area: float
    box: Box
    crowd: bool
    segmentation: Segmentation = field(repr=False)
    extent: Extent = "outline"
    attributes: tuple[str, ...] = ()
    amodal: Segmentation | None = field(default=None, repr=False)
    raw: Raw = field(default_factory=_nothing, repr=False, hash=False)

    @property
    def whole(self) -> Annotation:
        """The same object with all its pixels, seen or hidden, for `object_mask`.

        Raises:
            SampleError: the data doesn't say where its hidden parts are.
        """
        if self.amodal is None:
            raise SampleError(
                f"object {self.object_id} ({self.class_name}) has no amodal mask; take data that "
                "has them, such as the embedded scenes"
            )
        return replace(self, segmentation=self.amodal)


@dataclass(frozen=True, slots=True)
class Relation:
    """How one object of an image stands to another: "the dog (subject) in front of the car".

    Attributes:
        subject: object id.
        name: as the data set spells it ("to the left of").
        object: object id.
    """

    subject: int
    name: str
    object: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with what is known about it.

    Attributes:
        image_id: the data set's image id, not necessarily contiguous.
        path: the image file; where `read` is given, only what to call the image.
        width, height: the image's size in pixels, EXIF rotation applied.
        annotations: the annotated objects, in the data set's order.
        questions: questions about the image, in the data set's order.
        read: gives the image file's content where it is no file of its own (a Hugging Face
            dataset's rows); called each time the image is used, nothing is kept.
        relations: how the objects stand to each other; () where the data doesn't say.
        raw: what else the data set says of the image.
    """

    image_id: int
    path: Path
    width: int
    height: int
    annotations: tuple[Annotation, ...] = ()
    questions: tuple[Question, ...] = ()
    read: Callable[[], bytes] | None = field(default=None, repr=False, compare=False)
    relations: tuple[Relation, ...] = ()
    raw: Raw = field(default_factory=_nothing, repr=False, hash=False)


@dataclass(frozen=True)
class Dataset:
    """An index of samples; no pixel is held.

    Attributes:
        name: how a report calls the data ("coco val2017").
        root: the folder it was read from.
        categories: every class name of the data set, in its order, present in an image or not.
        samples: the samples, sorted by image id.
        skipped: for every file that could not be indexed, why; a run reports them.
    """

    name: str
    root: Path
    categories: tuple[str, ...]
    samples: tuple[Sample, ...] = field(repr=False)
    skipped: tuple[str, ...] = ()
