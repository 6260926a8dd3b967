"""Subject: one object of one image, with everything the experiments need of the data."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from PIL import Image

from retinoscope.data import Annotation, Question, Sample, load_image, object_mask
from retinoscope.experiments.settings import Settings
from retinoscope.geometry import centred_square


@dataclass(frozen=True, eq=False)
class Subject:
    """One object under study.

    Attributes:
        sample: the image it is in.
        annotation: the object.
        image: the image, RGB, upright.
        mask: True on the object, in the image's pixels.
        question: a question whose answer is the object, or "" where the data has none.
        absent: a class of the data set that the image does not hold, for the "no" control; ""
            where there is none.
    """

    sample: Sample
    annotation: Annotation
    image: Image.Image
    mask: Bool[np.ndarray, "height width"]
    question: str
    absent: str

    @property
    def class_name(self) -> str:
        """The object's class."""
        return self.annotation.class_name

    @property
    def key(self) -> str:
        """A name for the subject that is unique in its data set and fit for a file name."""
        return f"{self.sample.image_id}-{self.annotation.object_id}"


def read_subject(
    sample: Sample, annotation: Annotation, categories: tuple[str, ...], settings: Settings
) -> Subject:
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
    questions = [
        question.text for question in sample.questions if _asks_about(question, annotation)
    ]
    return Subject(
        sample=sample,
        annotation=annotation,
        image=image,
        mask=mask,
        question=str(drawn.choice(questions)) if questions else "",
        absent=str(drawn.choice(absent)) if absent else "",
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


def random_source(seed: int, object_id: int, purpose: str) -> np.random.Generator:
    """A random generator for one object and one purpose, the same in whatever order a run goes."""
    return np.random.default_rng([seed, object_id, zlib.crc32(purpose.encode())])
