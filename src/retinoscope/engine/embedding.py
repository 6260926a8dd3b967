"""From a generated token to the input of the first decoder layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


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
    entered: Float[Tensor, "recorded width"],
) -> TokenInput:
    """The scale, else the offsets, that turn embeddings of text into what the first layer got.

    Args:
        embedding: the token embedding.
        ids: the recorded sequence's tokens.
        text: positions of text.
        entered: the first layer's input.
    """
    device = next(embedding.parameters()).device
    vectors = embedding(ids.to(device)).to(entered)
    given, got = vectors[text].double(), entered[text].double()
    scale = float((given * got).sum() / (given * given).sum())
    if torch.equal(vectors[text], entered[text]):
        return TokenInput(embedding, 1.0, None)
    if torch.allclose(given * scale, got, rtol=1e-2, atol=1e-3 * float(got.abs().max())):
        return TokenInput(embedding, scale, None)
    return TokenInput(embedding, 1.0, entered - vectors)
