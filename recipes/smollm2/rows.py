"""Rows of SmolLM2's tokens: one image and several exchanges about it, none of which sees another.

As in `recipes.embedded.rows`, in ChatML and with real word pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

BEFORE, BEHIND = "<|im_start|>user\n", "\n"
TURN, END = "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"


@dataclass(frozen=True)
class Rows:
    """One row for each image.

    Attributes:
        tokens: token ids, padded at the right.
        positions: of each token, as if its exchange stood alone.
        blocks: 0 for the context, 1, 2, ... for the exchanges, -1 for padding.
        answers: where a token of an answer stands.
    """

    tokens: Int[Tensor, "rows length"]
    positions: Int[Tensor, "rows length"]
    blocks: Int[Tensor, "rows length"]
    answers: Bool[Tensor, "rows length"]

    def to(self, device: torch.device) -> Rows:
        """The same rows on a device."""
        return Rows(*(t.to(device) for t in astuple(self)))

    @property
    def allowed(self) -> Bool[Tensor, "rows length length"]:
        """Which token (second dimension) reads which (third): the context and its own exchange."""
        length = self.tokens.shape[1]
        causal = torch.ones(length, length, device=self.tokens.device).tril().bool()
        query, key = self.blocks[:, :, None], self.blocks[:, None, :]
        return ((key == 0) | (key == query)) & causal


class Layout:
    """Lays out exchanges about images; each text is tokenised once."""

    def __init__(self, tokenizer: Any, patches: int) -> None:
        """Remember the tokenizer.

        Args:
            tokenizer: SmolLM2's, with its `<image>`.
            patches: visual tokens of an image.
        """
        self.tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        image = tokenizer.convert_tokens_to_ids("<image>")
        self.first = len(self.ids(BEFORE))
        self.context = [*self.ids(BEFORE), *[image] * patches, *self.ids(BEHIND)]

    def ids(self, text: str) -> list[int]:
        """Token ids of a text as it stands."""
        if text not in self._known:
            self._known[text] = self.tokenizer.encode(text, add_special_tokens=False)
        return self._known[text]

    def rows(self, asked: Sequence[Sequence[tuple[str, str]]]) -> Rows:
        """Rows about as many images as there are lists of exchanges."""
        tokens, positions, blocks, answers = [], [], [], []
        for exchanges in asked:
            row, place = list(self.context), list(range(len(self.context)))
            block, answer = [0] * len(row), [False] * len(row)
            for number, (question, said) in enumerate(exchanges, 1):
                asking = [*self.ids(question), *self.ids(TURN)]
                saying = [*self.ids(said), *self.ids(END)]
                size = len(asking) + len(saying)
                row += asking + saying
                place += range(len(self.context), len(self.context) + size)
                block += [number] * size
                answer += [False] * len(asking) + [True] * len(saying)
            tokens.append(row)
            positions.append(place)
            blocks.append(block)
            answers.append(answer)
        length = max(map(len, tokens))
        return Rows(
            _padded(tokens, length, 0),
            _padded(positions, length, 0),
            _padded(blocks, length, -1),
            _padded(answers, length, 0).bool(),
        )


def _padded(rows: list[list], length: int, value: int) -> Tensor:
    return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows])
