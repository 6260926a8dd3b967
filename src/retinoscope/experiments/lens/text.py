"""The lens of text positions: what the words of a prompt decode to, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.engine import Recording
from retinoscope.lens import read_lens


@dataclass(frozen=True)
class TextReading:
    """One of the likeliest words at one layer and text position.

    Attributes:
        position: in the sequence, from 0.
        token: what stands there in the prompt.
        layer: 0 is the embedding output, n the output of the n-th decoder layer.
        place: 1 for the likeliest word, 2 for the next, ...
        word: the word.
        probability: its probability, 0 to 1.
    """

    position: int
    token: str
    layer: int
    place: int
    word: str
    probability: float


def read_text(recording: Recording, k: int = 5) -> list[TextReading]:
    """What every position that holds no visual token decodes to on the clean run.

    Args:
        recording: the clean run.
        k: words of each position and layer.

    Raises:
        SelectionError: the prompt holds visual tokens alone.
        ModelError: the model's states can't be unembedded.
    """
    tokenizer = recording.checkpoint.tokenizer
    ids = recording.encoded.inputs["input_ids"][0].tolist()
    k = min(k, recording.logits.shape[-1])
    reading = read_lens(recording, recording.encoded.layout.text, k=k)
    return [
        TextReading(position, tokenizer.decode([ids[position]]), layer, place, word, probability)
        for index, position in enumerate(reading.positions)
        for layer in range(len(reading.ids))
        for place, (word, probability) in enumerate(
            zip(
                tokenizer.batch_decode([[token] for token in reading.ids[layer, index].tolist()]),
                reading.probabilities[layer, index].tolist(),
                strict=True,
            ),
            start=1,
        )
    ]
