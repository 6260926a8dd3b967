"""Attention by layer and head, from some queries to every key: single, averaged or summed up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution.layers import require_attention
from retinoscope.brief import brief_fields
from retinoscope.engine import Recording, capture
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition


@dataclass(frozen=True, eq=False)
class HeadAttention:
    """What some queries read, by layer and head.

    Attributes:
        weights: for each layer the weights of each head on every position, the mean over the
            queries; 0 to 1, float32 on the CPU. Layers may differ in their number of heads.
    """

    weights: tuple[Float[Tensor, "_heads positions"], ...]

    __repr__ = brief_fields

    def map(self, layer: int | None = None, head: int | None = None) -> Float[Tensor, " positions"]:
        """The weight on each position: of one layer and head, or the mean over all (None).

        Raises:
            InterventionError: there is no such layer, or none of its layers has such a head.
        """
        self._check(layer, head)
        layers = self.weights if layer is None else self.weights[layer : layer + 1]
        if head is None:
            return torch.stack([one.mean(0) for one in layers]).mean(0)
        return torch.stack([one[head] for one in layers if head < len(one)]).mean(0)

    def to(self, keys: Iterable[int]) -> Float[Tensor, "layers heads"]:
        """How much of each head's attention goes to some positions, 0 to 1.

        NaN where a layer has fewer heads than another.
        """
        most = max(len(one) for one in self.weights)
        where = list(keys)
        table = torch.full((len(self.weights), most), torch.nan)
        for row, one in zip(table, self.weights, strict=True):
            row[: len(one)] = one[:, where].sum(1)
        return table

    def _check(self, layer: int | None, head: int | None) -> None:
        count = len(self.weights)
        if layer is not None and not 0 <= layer < count:
            raise InterventionError(f"There is no layer {layer}; give one of 0..{count - 1}.")
        shown = self.weights if layer is None else self.weights[layer : layer + 1]
        heads = max(len(one) for one in shown)
        if head is not None and not 0 <= head < heads:
            raise InterventionError(f"There is no head {head}; give one of 0..{heads - 1}.")


@torch.no_grad()
def head_attention(
    recording: Recording, queries: Sequence[int] | None = None, condition: Condition = ()
) -> HeadAttention:
    """The attention weights from some positions to every position, by layer and head.

    Args:
        recording: the clean run.
        queries: the positions that look; None is the last one alone.
        condition: the interventions in force together, under which they look.

    Raises:
        ModelError: the model's layers can't be replayed, or one does not attend in the sequence.
        InterventionError: a query lies outside the prompt, or an intervention can't be applied.
    """
    require_attention(recording, "attention by head")
    where = [recording.length - 1] if queries is None else list(queries)
    found = capture(recording, "attn_probs", condition, positions=where).load()
    return HeadAttention(tuple(state.float().mean(0).cpu() for state in found.values()))


def mean_attention(several: Sequence[HeadAttention], length: int) -> HeadAttention:
    """The mean of several, over the first `length` positions, which all of them have."""
    layers = zip(*(one.weights for one in several), strict=True)
    return HeadAttention(
        tuple(torch.stack([one[:, :length] for one in layer]).mean(0) for layer in layers)
    )
