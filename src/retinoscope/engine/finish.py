"""What a model does to its logits after the unembedding, inferred from one row and checked."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.rounding import is_masked
from retinoscope.models import Checkpoint

Finish = Callable[[Tensor], Tensor]


def infer_finish(
    head_row: Float[Tensor, " vocabulary"],
    logits: Float[Tensor, " vocabulary"],
    checkpoint: Checkpoint,
) -> Finish | None:
    """Nothing, a soft-cap (Gemma) or a scale (Cohere); None where it is neither.

    Tokens that the model never lets be said (Chameleon's image tokens) are masked out as well.

    Args:
        head_row: what the unembedding gave at some position.
        logits: the model's logits there.
        checkpoint: the model, for its soft-cap.
    """
    masked = is_masked(logits)
    finish = _of_sayable(head_row[~masked], logits[~masked], checkpoint)
    if finish is None or not masked.any():
        return finish
    lowest = float(logits[masked][0])
    return lambda hidden: finish(hidden).masked_fill(masked.to(hidden.device), lowest)


def _of_sayable(given: Tensor, got: Tensor, checkpoint: Checkpoint) -> Finish | None:
    if torch.equal(given, got):
        return unchanged
    close = 1e-4 if got.dtype == torch.float32 else 2e-2
    given, got = given.double(), got.double()
    atol = close * float(got.abs().max())
    cap = getattr(text_config(checkpoint), "final_logit_softcapping", None)
    if cap and torch.allclose(torch.tanh(given / cap) * cap, got, atol=atol):
        return lambda hidden: torch.tanh(hidden / cap) * cap
    scale = float((got @ given) / (given @ given))
    if torch.allclose(given * scale, got, atol=atol):
        return lambda hidden: hidden * scale
    return None


def unchanged(logits: Tensor) -> Tensor:
    """The unembedding's output is the model's."""
    return logits


def text_config(checkpoint: Checkpoint) -> object:
    """The configuration of the language model."""
    config = checkpoint.model.get_decoder().config
    return config.get_text_config(decoder=True)
