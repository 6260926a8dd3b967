"""Curation: keep objects that the model names, and names because it sees them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from retinoscope.engine import Generation, look
from retinoscope.experiments.description import description, told
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.subject import Subject, random_source
from retinoscope.models import Checkpoint
from retinoscope.results.records import CurationRecord
from retinoscope.tasks import describe, named
from retinoscope.tasks.original import holds_name


def curate(checkpoint: Checkpoint, subject: Subject, settings: Settings) -> CurationRecord:
    """Paper, section 3.1: named in the whole image, not named once its pixels are noise.

    Raises:
        SelectionError: the object lies outside the part of the image that the model sees.
        SampleError, TokenMapError: the model can't take the image.
    """
    names = holds_name if settings.protocol.substring_curation else named
    whole, tokens = _description(checkpoint, subject.image, subject, settings)
    named_whole = names(checkpoint.text(whole.tokens), subject.class_name)
    named_noised, answer_noised = False, ""
    if named_whole:
        altered = noise_object(subject, settings.seed)
        noised, _ = _description(checkpoint, altered, subject, settings)
        named_noised = names(checkpoint.text(noised.tokens), subject.class_name)
        answer_noised = told(checkpoint, noised)
    return CurationRecord(
        image_id=subject.sample.image_id,
        object_id=subject.annotation.object_id,
        class_name=subject.class_name,
        named_whole=named_whole,
        named_noised=named_noised,
        kept=named_whole and not named_noised,
        area=float(subject.annotation.area),
        object_tokens=tokens,
        answer_whole=told(checkpoint, whole),
        answer_noised=answer_noised,
    )


def noise_object(subject: Subject, seed: int) -> Image.Image:
    """The image with the object's pixels replaced by uniform noise."""
    pixels = np.array(subject.image)
    drawn = random_source(seed, subject.annotation.object_id, "noise")
    noise = drawn.integers(0, 256, pixels.shape, dtype=np.uint8)
    return Image.fromarray(np.where(subject.mask[..., None], noise, pixels))


def _description(
    checkpoint: Checkpoint, image: Image.Image, subject: Subject, settings: Settings
) -> tuple[Generation, int]:
    query = describe(subject.class_name)
    recording = look(checkpoint, image, query.question, max_new_tokens=settings.max_new_tokens)
    tokens = len(object_tokens(recording.encoded.layout, subject.mask, settings))
    return description(recording, subject.class_name), tokens
