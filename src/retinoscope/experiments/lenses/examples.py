"""Images that lenses are fitted on: what is asked about them, and where their objects are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from retinoscope.data import Annotation, Sample, load_image, object_mask
from retinoscope.engine import look
from retinoscope.errors import SampleError, SelectionError
from retinoscope.experiments.target import random_source
from retinoscope.lens.fitting import Example, Seen
from retinoscope.models import Checkpoint
from retinoscope.tasks import first_tokens
from retinoscope.tasks.describe import QUESTION
from retinoscope.tasks.poll import poll
from retinoscope.tokens import TokenLayout, under

ANSWERING = "It is a"
"""Where the next token names an object."""

TEXTS = 2
"""Texts about each image whose words' states are kept."""

COVERED = 0.5
"""The share of a patch that an object must cover for the patch to be an example of it."""


def words_of(checkpoint: Checkpoint, categories: Sequence[str]) -> dict[str, int]:
    """Every class that the tokenizer can spell, with its word's first token."""
    found = {name: first_tokens(checkpoint.tokenizer, [name])[:1] for name in categories}
    return {name: tokens[0] for name, tokens in found.items() if tokens}


def example(
    checkpoint: Checkpoint,
    sample: Sample,
    words: dict[str, int],
    turn: int,
    kinds: Collection[str],
) -> Example:
    """Look at one image, as the lenses that are to be fitted need it.

    Args:
        checkpoint: the model.
        sample: the image.
        words: of `words_of`.
        turn: the image's place among all; its texts name the classes whose turn it is.
        kinds: the lenses; what none of them needs is not run.

    Raises:
        SampleError, TokenMapError: the image can't be used.
    """
    image = load_image(sample)
    recording = look(checkpoint, image, QUESTION)
    answering = recording
    if "jacobian" in kinds:
        answering = look(checkpoint, image, QUESTION, prefix=ANSWERING)
    names = list(words)
    asked = [names[(TEXTS * turn + i) % len(names)] for i in range(TEXTS if names else 0)]
    questions = [poll(name, checkpoint.tokenizer).question for name in asked]
    texts = [look(checkpoint, image, one) for one in questions] if "latent" in kinds else []
    found = (_seen(one, sample, recording.layout, words) for one in sample.annotations)
    return Example(recording, answering, tuple(texts), tuple(one for one in found if one))


def _seen(
    annotation: Annotation, sample: Sample, layout: TokenLayout, words: dict[str, int]
) -> Seen | None:
    """An object's patches; None where it has none or no word, or is a crowd."""
    if annotation.crowd or annotation.class_name not in words:
        return None
    try:
        tokens = under(layout, object_mask(sample, annotation), overlap=COVERED)
    except (SelectionError, SampleError):
        return None
    drawn = random_source(0, annotation.object_id, "shuffled label")
    shuffled = int(drawn.choice(sorted({*words.values()})))
    return Seen(words[annotation.class_name], shuffled, tuple(sorted(tokens))) if tokens else None
