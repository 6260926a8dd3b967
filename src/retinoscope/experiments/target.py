"""Target: one object of one image, with everything the experiments need of the data."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from PIL import Image

from retinoscope.data import (
    Annotation,
    Question,
    Relation,
    Sample,
    Step,
    load_image,
    object_mask,
)
from retinoscope.errors import SampleError
from retinoscope.experiments.settings import Settings
from retinoscope.geometry import centred_square
from retinoscope.results.records import SkippedRecord


@dataclass(frozen=True, eq=False)
class Target:
    """One object under study.

    Attributes:
        sample: the image it is in.
        annotation: the object.
        image: the image, RGB, upright.
        mask: True on the object, in the image's pixels.
        question: a question whose answer is the object, or "" where the data has none.
        absent: a class of the data set that the image does not hold, for the "no" control; ""
            where there is none.
        questions: every question whose answer is the object, with choices and steps where the
            data have them; of the whole image there may be more (`sample.questions`).
    """

    sample: Sample
    annotation: Annotation
    image: Image.Image
    mask: Bool[np.ndarray, "height width"]
    question: str
    absent: str
    questions: tuple[Question, ...] = ()

    @property
    def others(self) -> tuple[Annotation, ...]:
        """The other annotated objects of the image."""
        own = self.annotation.object_id
        return tuple(one for one in self.sample.annotations if one.object_id != own)

    @property
    def relations(self) -> tuple[Relation, ...]:
        """How the object stands to others, and they to it; () where the data doesn't say."""
        own = self.annotation.object_id
        return tuple(one for one in self.sample.relations if own in (one.subject, one.object))

    def objects_of(self, step: Step) -> tuple[Annotation, ...]:
        """The objects that a step of a question about the image arrives at.

        Raises:
            SampleError: the image has no such object.
        """
        known = {one.object_id: one for one in self.sample.annotations}
        unknown = [one for one in step.object_ids if one not in known]
        if unknown:
            raise SampleError(
                f"The step {step.op} {step.argument} names the objects {unknown}, which image "
                f"{self.sample.image_id} does not have; correct the question file."
            )
        return tuple(known[one] for one in step.object_ids)

    def mask_of(self, other: Annotation) -> Bool[np.ndarray, "height width"]:
        """True on another object of the image, in the image's pixels.

        Raises:
            SampleError: the mask can't be used.
        """
        return object_mask(self.sample, other)

    @property
    def class_name(self) -> str:
        """The object's class."""
        return self.annotation.class_name

    @property
    def key(self) -> str:
        """A name for the target that is unique in its data set and fit for a file name."""
        return f"{self.sample.image_id}-{self.annotation.object_id}"


def read_target(
    sample: Sample, annotation: Annotation, categories: tuple[str, ...], settings: Settings
) -> Target:
    """Read the pixels of one object and choose its question and control.

    Args:
        sample: the image.
        annotation: the object.
        categories: every class of the data set.
        settings: their seed decides among several questions and absent classes, with the object's
            id; their protocol may drop vertices of the outline.

    Raises:
        SampleError: the image or the mask can't be used.
    """
    image = load_image(sample)
    within = None
    if settings.protocol.dropped_vertices:
        within = centred_square((sample.width, sample.height))
    mask = object_mask(sample, annotation, vertices_within=within)
    drawn = random_source(settings.seed, annotation.object_id, "subject")
    present = {other.class_name for other in sample.annotations}
    absent = [name for name in categories if name not in present]
    questions = tuple(one for one in sample.questions if _asks_about(one, annotation))
    texts = [question.text for question in questions]
    return Target(
        sample=sample,
        annotation=annotation,
        image=image,
        mask=mask,
        question=str(drawn.choice(texts)) if texts else "",
        absent=str(drawn.choice(absent)) if absent else "",
        questions=questions,
    )


def _asks_about(question: Question, annotation: Annotation) -> bool:
    """Whether the object is the answer: it is named, or nothing is (the paper's question files)."""
    named = question.object_id == annotation.object_id
    unnamed = question.object_id is None and question.kind == "free"
    return (
        (named or unnamed)
        and question.word in ("", annotation.class_name)
        and question.kind in ("position", "relation", "free")
    )


def skip(experiment: str, target: Target, condition: str, reason: str) -> SkippedRecord:
    """The record of what an experiment could not measure of an object, and why.

    Args:
        experiment: its name.
        target: the object.
        condition: what was not measured; "" for the whole object.
        reason: why.
    """
    ids = target.sample.image_id, target.annotation.object_id
    return SkippedRecord(experiment, *ids, condition, reason)


def representative(sample: Sample, seed: int) -> Annotation:
    """The object of an image at which questions about the whole image are measured.

    Any of them, with equal chances, so that no place in the data's order is favoured.

    Args:
        sample: an image with objects.
        seed: of the choice.
    """
    drawn = random_source(seed, sample.image_id, "representative")
    return sample.annotations[drawn.integers(len(sample.annotations))]


def object_of(sample: Sample, question: Question, seed: int) -> Annotation:
    """The object at which a question is measured: the one that it is about, else a representative.

    Args:
        sample: an image with objects.
        question: about it; it may be about several objects, or one that is not annotated.
        seed: of the choice.
    """
    own = (one for one in sample.annotations if one.object_id == question.object_id)
    return next(own, None) or representative(sample, seed)


def random_source(seed: int, object_id: int, purpose: str) -> np.random.Generator:
    """A random generator for one object and one purpose, the same in whatever order a run goes."""
    return np.random.default_rng([seed, object_id, zlib.crc32(purpose.encode())])
