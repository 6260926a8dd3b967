"""What one sample is: an image file, its annotated objects, its questions. Plain data only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Box = tuple[float, float, float, float]
"""x, y of the top left corner, width, height; in pixels of the upright original image."""

Segmentation = bytes | Path
"""Where an object's pixels are: COCO's `segmentation` value as JSON text (polygons or RLE), or
the path of a mask image. It is decoded by `object_mask` only when the mask is asked for, so that
an index over a hundred thousand images stays small."""


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
            for questions without a stated kind.
        object_id: the annotation that the question is about, or None.
    """

    text: str
    answer: str = ""
    word: str = ""
    kind: str = "free"
    object_id: int | None = None


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
    """

    object_id: int
    class_name: str
    area: float
    box: Box
    crowd: bool
    segmentation: Segmentation = field(repr=False)


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
    """

    image_id: int
    path: Path
    width: int
    height: int
    annotations: tuple[Annotation, ...] = ()
    questions: tuple[Question, ...] = ()
    read: Callable[[], bytes] | None = field(default=None, repr=False, compare=False)


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
