"""Attention rollout: how much of each visual token reaches the last position by attention alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution.layers import (
    last_row,
    query_row,
    require_attention,
    states_of,
    visual_scores,
)
from retinoscope.brief import brief
from retinoscope.engine import Recording
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition


@torch.no_grad()
def attention_rollout(
    recording: Recording,
    condition: Condition = (),
    *,
    residual: float = 0.5,
    without: Sequence[int] = (),
    order: Sequence[int] | None = None,
    queries: Sequence[int] | None = None,
) -> Float[Tensor, " tokens"]:
    """The share of the last position that comes from each visual token (Abnar & Zuidema 2020).

    In each layer the attention weights are averaged over heads and mixed with the identity, which
    stands for the residual connection; the layers' matrices are multiplied. Only the last
    position's row of the product, or the mean row of other queries, is carried, from the last
    layer down.

    Args:
        recording: the clean run.
        condition: the interventions in force together, under which the attention is read.
        residual: the identity's share, 0 (attention alone) to 1; the authors' is one half.
        without: positions from which nothing is taken, such as attention sinks or text: their
            columns are zeroed in every layer and each row is scaled to its sum again. The queries
            are never left out.
        order: the layers, the one nearest the answer first; None is from the last down. Another
            order is a control.
        queries: the positions whose share it is, their mean; None is the last one alone.

    Returns:
        One share for each visual token, ascending by position, 0 to 1, float32 on the CPU; with
        the shares of text positions, which are left out, they would add up to 1.

    Raises:
        ModelError: the model's layers can't be replayed, or a layer mixes positions otherwise
            than by attention within the sequence.
        InterventionError: the residual's share is not from 0 to 1, a query lies outside the prompt,
            or an intervention can't be applied.
    """
    if not isinstance(residual, int | float) or not 0 <= residual <= 1:
        raise InterventionError(f"The residual's share is from 0 to 1; got {brief(residual)}.")
    require_attention(recording, "attention rollout")
    row = last_row(recording) if queries is None else query_row(recording, queries)
    left_out = [position for position in without if not row[position]]
    for _, states in states_of(recording, ["attn_probs"], order, condition):
        weights = states["attn_probs"].float().mean(1).cpu()
        if left_out:
            weights = _without(weights, left_out)
        row = residual * row + (1 - residual) * (row @ weights)
    return visual_scores(recording, row)


def _without(
    weights: Float[Tensor, "queries keys"], positions: Sequence[int]
) -> Float[Tensor, "queries keys"]:
    """Attention with some keys taken out; a query that read nothing else keeps to itself."""
    weights = weights.clone()
    weights[:, positions] = 0
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total.clamp(min=1e-12), torch.eye(len(weights)))


@torch.no_grad()
def attention_sinks(recording: Recording, deviations: float = 3.0) -> tuple[int, ...]:
    """Positions that receive far more attention than others, whoever asks.

    The attention that each position receives is averaged over layers, heads and the queries that
    may read it; sinks lie above the mean of all positions by so many standard deviations
    (after Xiao et al. 2023, arXiv 2309.17453, who found them at the first positions).

    Raises:
        ModelError: as `attention_rollout`.
    """
    require_attention(recording, "a search for attention sinks")
    received = torch.zeros(recording.length)
    for layer, states in states_of(recording, ["attn_probs"]):
        length = recording.length
        readers = recording.layers[layer].allowed[:length, :length].sum(0).clamp(min=1).cpu()
        received += states["attn_probs"].float().mean(1).sum(0).cpu() / readers
    # The last positions are read by hardly anybody but themselves.
    settled = received[:-1]
    above = received > settled.mean() + deviations * settled.std()
    above[-1] = False
    return tuple(above.nonzero().flatten().tolist())
