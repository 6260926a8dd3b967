"""Raw attention: how much some positions look at each visual token, layers and heads averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution.by_head import head_attention
from retinoscope.attribution.layers import visual_scores
from retinoscope.engine import Recording
from retinoscope.interventions import Condition


@torch.no_grad()
def raw_attention(
    recording: Recording, queries: Sequence[int] | None = None, condition: Condition = ()
) -> Float[Tensor, " tokens"]:
    """The mean attention weight from some positions to each visual token.

    Averaged over all layers, all heads and the queries; nothing of what happens between layers is
    in it.

    Args:
        recording: the clean run.
        queries: the positions that look; None is the last one alone.
        condition: the interventions in force together, under which they look.

    Returns:
        One weight for each visual token, ascending by position, 0 to 1, float32 on the CPU.

    Raises:
        ModelError: the model's layers can't be replayed, or one does not attend in the sequence.
        InterventionError: a query lies outside the prompt, or an intervention can't be applied.
    """
    return visual_scores(recording, attention_by_layer(recording, queries, condition).mean(0))


@torch.no_grad()
def attention_by_layer(
    recording: Recording, queries: Sequence[int] | None = None, condition: Condition = ()
) -> Float[Tensor, "layers positions"]:
    """The mean attention weight from some positions to every position, in each layer.

    Args:
        recording: the clean run.
        queries: as in `raw_attention`.
        condition: likewise.

    Returns:
        Rows add up to 1; float32 on the CPU.

    Raises:
        ModelError, InterventionError: as `raw_attention`.
    """
    # Heads differ from layer to layer in some models, so that layers can't be stacked.
    found = head_attention(recording, queries, condition)
    return torch.stack([one.mean(0) for one in found.weights])
