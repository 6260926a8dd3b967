"""Look: one prompt, recorded."""

from __future__ import annotations

from retinoscope.engine.record import record
from retinoscope.engine.recording.recording import Recording
from retinoscope.models import Checkpoint, Media, as_prompt, encode


def look(
    checkpoint: Checkpoint,
    media: Media,
    question: str | None = None,
    *,
    prefix: str = "",
    max_new_tokens: int = 0,
) -> Recording:
    """Record one clean run of the model on a prompt.

    Args:
        checkpoint: the model.
        media: one RGB image or video, or a sequence of images, videos and texts in order.
        question: the text behind them, as a user would write it; None where they hold the text.
        prefix: the beginning of the answer, such as "It is a".
        max_new_tokens: the longest answer; as many positions are recorded behind the prompt.

    Raises:
        ModelError: a part is no text, image or video, or the model can't be watched.
        SampleError: the prompt is empty, or the processor refuses it.
        TokenMapError: the sequence's visual tokens don't match the geometry of what is shown.
    """
    encoded = encode(checkpoint, as_prompt(media, question), prefix=prefix)
    return record(checkpoint, encoded, max_new_tokens=max_new_tokens)
