"""Curation: keep objects that the model names, and names because it sees them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from retinoscope.engine import Generation, look
from retinoscope.experiments.description import description, told
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target, random_source
from retinoscope.models import Checkpoint
from retinoscope.results.records import CurationRecord
from retinoscope.tasks import describe, named
from retinoscope.tasks.original import holds_name


def curate(checkpoint: Checkpoint, target: Target, settings: Settings) -> CurationRecord:
    """Paper, section 3.1: named in the whole image, not named once its pixels are noise.

    Raises:
        SelectionError: the object lies outside the part of the image that the model sees.
        SampleError, TokenMapError: the model can't take the image.
    """
    names = holds_name if settings.protocol.substring_curation else named
    whole, tokens = _description(checkpoint, target.image, target, settings)
    named_whole = names(checkpoint.text(whole.tokens), target.class_name)
    named_noised, answer_noised = False, ""
    if named_whole:
        altered = noise_object(target, settings.seed)
        noised, _ = _description(checkpoint, altered, target, settings)
        named_noised = names(checkpoint.text(noised.tokens), target.class_name)
        answer_noised = told(checkpoint, noised)
    return CurationRecord(
        image_id=target.sample.image_id,
        object_id=target.annotation.object_id,
        class_name=target.class_name,
        named_whole=named_whole,
        named_noised=named_noised,
        kept=named_whole and not named_noised,
        area=float(target.annotation.area),
        object_tokens=tokens,
        answer_whole=told(checkpoint, whole),
        answer_noised=answer_noised,
    )


def noise_object(target: Target, seed: int) -> Image.Image:
    """The image with the object's pixels replaced by uniform noise."""
    pixels = np.array(target.image)
    drawn = random_source(seed, target.annotation.object_id, "noise")
    noise = drawn.integers(0, 256, pixels.shape, dtype=np.uint8)
    return Image.fromarray(np.where(target.mask[..., None], noise, pixels))


def _description(
    checkpoint: Checkpoint, image: Image.Image, target: Target, settings: Settings
) -> tuple[Generation, int]:
    query = describe(target.class_name)
    recording = look(checkpoint, image, query.question, max_new_tokens=settings.max_new_tokens)
    tokens = len(object_tokens(recording.encoded.layout, target.mask, settings))
    return description(recording, target.class_name), tokens
