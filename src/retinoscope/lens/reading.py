"""What the logit lens saw, at every layer and position that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from retinoscope.brief import brief_fields


@dataclass(frozen=True, eq=False)
class LensReading:
    """The residual stream of a run, clean or under a condition, read through the unembedding.

    Layers run over the stream's places: 0 is the input of the first decoder layer (the paper's
    "embedding output"), n the output of the n-th, so there is one more than decoder layers. Every
    tensor is on the CPU.

    Attributes:
        positions: the positions that were read, in the order given.
        tracked: the token ids that were followed.
        ids: the k likeliest tokens, likeliest first.
        probabilities: their probabilities, 0 to 1, float32.
        entropy: of the whole distribution, in nats, 0 to log(vocabulary), float32.
        log_probability: of each tracked token, in nats, at most 0, float32.
        rank: of each tracked token: the number of tokens with a higher logit, so 0 is the argmax.
    """

    positions: tuple[int, ...]
    tracked: tuple[int, ...]
    ids: Int[Tensor, "layers positions k"]
    probabilities: Float[Tensor, "layers positions k"]
    entropy: Float[Tensor, "layers positions"]
    log_probability: Float[Tensor, "tracked layers positions"]
    rank: Int[Tensor, "tracked layers positions"]

    __repr__ = brief_fields
