"""Lenses: ways to read a state of the residual stream as scores over words, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.engine import Recording

Unembed = Callable[[Tensor], Tensor]
"""States through the final norm and the unembedding: `Recording.unembed`."""

SHARPNESS = 20.0
"""What cosines are multiplied by, so that a softmax over words tells near ones from far ones."""


@runtime_checkable
class StateLens(Protocol):
    """Reads states at one place of the stream as scores over words."""

    @property
    def kind(self) -> str:
        """What it is called, such as "logit"."""
        ...

    def words(self, place: int) -> tuple[int, ...] | None:
        """The tokens that it tells apart at a place; None is the whole vocabulary, () none."""
        ...

    def scores(
        self, states: Float[Tensor, "tokens width"], place: int
    ) -> Float[Tensor, "tokens vocabulary"]:
        """One score for each token of the vocabulary, float32; minus infinity where it has none.

        The more the likelier: a softmax makes shares of them. They can be differentiated.

        Args:
            states: raw states, before any final norm.
            place: of the stream, 0 is the input of the first layer, n the output of the n-th.
        """
        ...


@dataclass(frozen=True, eq=False)
class LogitLens:
    """The final norm and the unembedding (nostalgebraist 2020).

    Attributes:
        unembed: the model's own.
    """

    unembed: Unembed
    kind: str = "logit"

    def words(self, place: int) -> tuple[int, ...] | None:
        """The whole vocabulary."""
        return None

    def scores(self, states: Tensor, place: int) -> Tensor:
        """The logits."""
        return self.unembed(states).float()


@dataclass(frozen=True, eq=False)
class TunedLens:
    """An affine map of each place's own, then the logit lens (Belrose et al. 2023, 2303.08112).

    Attributes:
        unembed: the model's own.
        matrices: added to the identity; that of the last place is zero.
        biases: likewise.
        kind: "tuned-text" or "tuned-visual", by the positions it was trained at.
    """

    unembed: Unembed
    matrices: Float[Tensor, "places width width"]
    biases: Float[Tensor, "places width"]
    kind: str

    __repr__ = brief_fields

    def words(self, place: int) -> tuple[int, ...] | None:
        """The whole vocabulary."""
        return None

    def scores(self, states: Tensor, place: int) -> Tensor:
        """The logits of the mapped states."""
        matrix, bias = self.matrices[place].to(states), self.biases[place].to(states)
        return self.unembed(states + states @ matrix.T + bias).float()


@dataclass(frozen=True, eq=False)
class LinearLens:
    """One direction for each word at each place: a linear probe, or an averaged Jacobian.

    Attributes:
        tokens: the words.
        directions: zero throughout at a place that it does not read.
        offsets: added to the products.
        vocabulary: number of tokens.
        kind: "probe", "probe-shuffled" or "jacobian".
    """

    tokens: Int[Tensor, " words"]
    directions: Float[Tensor, "places words width"]
    offsets: Float[Tensor, "places words"]
    vocabulary: int
    kind: str

    __repr__ = brief_fields

    def words(self, place: int) -> tuple[int, ...] | None:
        """Its words, but at a place without directions."""
        return tuple(self.tokens.tolist()) if bool(self.directions[place].any()) else ()

    def scores(self, states: Tensor, place: int) -> Tensor:
        """The products with its directions."""
        states = states.float()
        products = states @ self.directions[place].to(states).T + self.offsets[place].to(states)
        return _spread(products, self.tokens, self.vocabulary)


@dataclass(frozen=True, eq=False)
class LatentLens:
    """Cosine to the nearest state that a word has in texts, at any layer (2602.00462).

    Attributes:
        tokens: the word of each kept state.
        states: of length 1.
        vocabulary: number of tokens.
    """

    tokens: Int[Tensor, " kept"]
    states: Float[Tensor, "kept width"]
    vocabulary: int
    kind: str = "latent"

    __repr__ = brief_fields

    def words(self, place: int) -> tuple[int, ...] | None:
        """The words of its texts."""
        return tuple(self.tokens.unique().tolist())

    def scores(self, states: Tensor, place: int) -> Tensor:
        """Of each word the largest cosine, times SHARPNESS."""
        states = states.float()
        unit = states / states.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        cosines = unit @ self.states.to(states).T
        index = self.tokens.to(states.device).expand_as(cosines)
        empty = cosines.new_full((len(states), self.vocabulary), -torch.inf)
        return SHARPNESS * empty.scatter_reduce(1, index, cosines, "amax")


def logit_lens(recording: Recording) -> LogitLens:
    """The logit lens of a run's model."""
    return LogitLens(recording.unembed)


def _spread(scores: Tensor, tokens: Tensor, vocabulary: int) -> Float[Tensor, "rows vocabulary"]:
    """Scores of some words at their places in the vocabulary."""
    empty = scores.new_full((len(scores), vocabulary), -torch.inf)
    return empty.index_copy(1, tokens.to(scores.device), scores)
