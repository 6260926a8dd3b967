"""Look: one image and one question, recorded."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from retinoscope.engine.record import record
from retinoscope.engine.recording.recording import Recording
from retinoscope.models import Checkpoint, as_pictures, encode


def look(
    checkpoint: Checkpoint,
    images: Image.Image | Sequence[Image.Image],
    question: str,
    *,
    prefix: str = "",
    max_new_tokens: int = 0,
) -> Recording:
    """Record one clean run of the model on an image and a question.

    Args:
        checkpoint: the model.
        images: one RGB image, or several in one prompt.
        question: what to ask, as a user would write it.
        prefix: the beginning of the answer, such as "It is a".
        max_new_tokens: the longest answer; as many positions are recorded behind the prompt.

    Raises:
        ModelError: there is no image, the processor refuses the inputs, or the model can't be
            captured.
        TokenMapError: the sequence's visual tokens don't match the image's geometry.
    """
    encoded = encode(checkpoint, as_pictures(images), question, prefix=prefix)
    return record(checkpoint, encoded, max_new_tokens=max_new_tokens)
