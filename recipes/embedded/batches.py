"""Several exchanges about one context in one row, none of which sees another.

A row is a context (words or an image) followed by exchanges. Each exchange attends to the
context and to itself and counts its positions from the context's end, exactly as if it were
asked alone; so one pass over a context trains many questions, and no answer can be copied from
an earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from recipes.embedded.text import Exchange

IGNORE = -100
BLOCKED = -1e4


@dataclass(frozen=True)
class Batch:
    """Rows of tokens with what each may see.

    Attributes:
        tokens: token numbers, padded at the right.
        positions: position of each token as if its exchange stood alone.
        blocks: 0 for the context, 1, 2, ... for the exchanges, -1 for padding.
        targets: the token itself where an answer is trained, `IGNORE` elsewhere.
        weights: weight of each token of an answer; an answer of n tokens weighs sqrt(n) in all,
            so that "Yes" is not drowned by descriptions.
    """

    tokens: Int[Tensor, "rows length"]
    positions: Int[Tensor, "rows length"]
    blocks: Int[Tensor, "rows length"]
    targets: Int[Tensor, "rows length"]
    weights: Float[Tensor, "rows length"]

    @property
    def mask(self) -> Float[Tensor, "rows 1 length length"]:
        """Additive attention mask: causal, and blind to other exchanges."""
        length = self.tokens.shape[1]
        query, key = self.blocks[:, :, None], self.blocks[:, None, :]
        seen = ((key == 0) | (key == query)) & torch.ones(length, length).tril().bool()
        return torch.where(seen, 0.0, BLOCKED)[:, None]

    def answer_loss(self, logits: Float[Tensor, "rows length words"]) -> Float[Tensor, ""]:
        """Weighted cross-entropy of the answers, in nats."""
        loss = F.cross_entropy(
            logits[:, :-1].float().flatten(0, 1),
            self.targets[:, 1:].flatten(),
            ignore_index=IGNORE,
            reduction="none",
        )
        weights = self.weights[:, 1:].flatten()
        return (loss * weights).sum() / weights.sum()

    def context_loss(self, logits: Float[Tensor, "rows length words"]) -> Float[Tensor, ""]:
        """Cross-entropy of the words of the contexts, in nats."""
        targets = torch.where(self.blocks == 0, self.tokens, IGNORE)
        return F.cross_entropy(
            logits[:, :-1].float().flatten(0, 1), targets[:, 1:].flatten(), ignore_index=IGNORE
        )


class Words:
    """Token numbers of texts; the few texts of a recipe are tokenised once each."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Look up the special tokens."""
        self.tokenizer = tokenizer
        numbers = tokenizer.get_vocab()
        self.bos, self.eos = numbers["<bos>"], numbers["<eos>"]
        self.image = numbers["<image>"]
        self._known: dict[str, list[int]] = {}

    def __call__(self, text: str) -> list[int]:
        """Return the token numbers of a text, without special ones."""
        if text not in self._known:
            self._known[text] = self.tokenizer.encode(text, add_special_tokens=False)
        return self._known[text]

    def context(self, words: Sequence[int]) -> list[int]:
        """Return a context as it stands at the start of a prompt."""
        return [self.bos, *self("USER:"), *words]


def collate(
    contexts: Sequence[Sequence[int]], rows: Sequence[Sequence[Exchange]], words: Words
) -> Batch:
    """Lay out contexts and the exchanges about each in rows of one length."""
    tokens, positions, blocks, targets, weights = [], [], [], [], []
    for context, row in zip(contexts, rows, strict=True):
        ids = list(context)
        position = list(range(len(ids)))
        block = [0] * len(ids)
        target = [IGNORE] * len(ids)
        weight = [0.0] * len(ids)
        for number, exchange in enumerate(row, 1):
            prompt = [*words(exchange.question), *words("ASSISTANT:")]
            answer = [*words(exchange.answer), words.eos]
            ids += prompt + answer
            position += range(len(context), len(context) + len(prompt) + len(answer))
            block += [number] * (len(prompt) + len(answer))
            target += [IGNORE] * len(prompt) + answer
            weight += [0.0] * len(prompt) + [len(answer) ** -0.5] * len(answer)
        tokens.append(ids)
        positions.append(position)
        blocks.append(block)
        targets.append(target)
        weights.append(weight)
    length = max(map(len, tokens))

    def pad(rows: list[list], value: float) -> Tensor:
        return torch.tensor([row + [value] * (length - len(row)) for row in rows])

    return Batch(
        pad(tokens, 0),
        pad(positions, 0),
        pad(blocks, -1),
        pad(targets, IGNORE),
        pad(weights, 0.0),
    )
