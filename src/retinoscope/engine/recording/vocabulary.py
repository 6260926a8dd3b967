"""Both ends of the model, inferred from a run: token to first layer, unembedding to logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from retinoscope.engine.recording.agreement import is_masked
from retinoscope.models import Checkpoint


@dataclass(frozen=True, eq=False)
class TokenInput:
    """How the model turns a token's embedding into the first layer's input.

    Some models scale embeddings (Gemma in some versions of transformers), some add a learned
    position (OPT); both are inferred from the clean run.

    Attributes:
        embedding: the token embedding.
        scale: what embeddings are multiplied by.
        offset: what is added at each recorded position; None where nothing is.
    """

    embedding: nn.Module
    scale: float
    offset: Float[Tensor, "recorded width"] | None

    def at(
        self, tokens: Int[Tensor, " rows"], position: int, like: Tensor
    ) -> Float[Tensor, "rows 1 width"]:
        """The first layer's input for one new token in each row, all at the same position."""
        device = next(self.embedding.parameters()).device
        vectors = self.embedding(tokens.to(device)).to(like) * self.scale
        if self.offset is not None:
            vectors = vectors + self.offset[position]
        return vectors[:, None]


@torch.no_grad()
def infer_token_input(
    embedding: nn.Module,
    ids: Int[Tensor, " recorded"],
    text: list[int],
    inputs: Float[Tensor, "recorded width"],
) -> TokenInput:
    """The scale, else the offsets, that turn embeddings of text into what the first layer got.

    Args:
        embedding: the token embedding.
        ids: the recorded sequence's tokens.
        text: positions of text.
        inputs: the first layer's input.
    """
    device = next(embedding.parameters()).device
    vectors = embedding(ids.to(device)).to(inputs)
    given, got = vectors[text].double(), inputs[text].double()
    scale = float((given * got).sum() / (given * given).sum())
    if torch.equal(vectors[text], inputs[text]):
        return TokenInput(embedding, 1.0, None)
    if torch.allclose(given * scale, got, rtol=1e-2, atol=1e-3 * float(got.abs().max())):
        return TokenInput(embedding, scale, None)
    return TokenInput(embedding, 1.0, inputs - vectors)


LogitTransform = Callable[[Tensor], Tensor]


def infer_logit_transform(
    head_row: Float[Tensor, " vocabulary"],
    logits: Float[Tensor, " vocabulary"],
    checkpoint: Checkpoint,
) -> LogitTransform | None:
    """Nothing, a soft-cap (Gemma) or a scale (Cohere); None where it is neither.

    Tokens that the model never lets be said (Chameleon's image tokens) are masked out as well.

    Args:
        head_row: what the unembedding gave at some position.
        logits: the model's logits there.
        checkpoint: the model, for its soft-cap.
    """
    masked = is_masked(logits)
    transform = _of_sayable(head_row[~masked], logits[~masked], checkpoint)
    if transform is None or not masked.any():
        return transform
    lowest = float(logits[masked][0])
    return lambda hidden: transform(hidden).masked_fill(masked.to(hidden.device), lowest)


def _of_sayable(given: Tensor, got: Tensor, checkpoint: Checkpoint) -> LogitTransform | None:
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
