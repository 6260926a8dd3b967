"""Value zeroing: how far each position's state turns when one position's value is taken away."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution.layers import last_row, require_attention, visual_scores
from retinoscope.engine import Recording
from retinoscope.engine.arguments import call_layer
from retinoscope.engine.attention import AttentionCall, attending

ROWS = 32
"""Positions whose value is zeroed in one pass of a layer."""


@torch.no_grad()
def value_zeroing(recording: Recording) -> Float[Tensor, " tokens"]:
    """Value zeroing scores, carried through the layers (Mohebbi et al. 2023, arXiv 2301.12971).

    In each layer every position's value is zeroed in turn, in all heads, with the attention weights
    kept; the score is the cosine distance of each position's state behind the layer from what it
    was, the distances of a position scaled to add up to 1. The layers' matrices are multiplied.
    Each layer is run once for every position of the prompt: as much as a full pass for each.

    Returns:
        One share for each visual token, ascending by position, 0 to 1, float32 on the CPU; with
        the shares of text positions, which are left out, they would add up to 1.

    Raises:
        ModelError: the model's layers can't be replayed, or one does not attend in the sequence.
    """
    require_attention(recording, "value zeroing")
    row = last_row(recording).double()
    for layer in reversed(range(recording.layer_count)):
        row = row @ zeroing_scores(recording, layer).cpu()
    return visual_scores(recording, row)


@torch.no_grad()
def zeroing_scores(recording: Recording, layer: int) -> Float[Tensor, "positions zeroed"]:
    """How much each position's state behind a layer depends on each position's value there.

    Returns:
        float64; rows add up to 1, and are 0 where the row may not read the column. A position on
        which no value has any effect counts as made of itself.
    """
    length = recording.length
    clean = recording.residual(layer)
    apart = torch.zeros(length, length, dtype=torch.float64, device=clean.device)
    whole = _zeroed(recording, layer, [])[0].double()
    for start in range(0, length, ROWS):
        some = [*range(start, min(length, start + ROWS))]
        changed = _zeroed(recording, layer, some).double()
        near = torch.cosine_similarity(changed, whole.expand_as(changed), dim=-1)
        apart[:, some] = (1 - near).clamp(min=0).T
    allowed = recording.calls[layer].allowed[:length, :length].to(apart.device)
    apart = apart.masked_fill(~allowed, 0)
    total = apart.sum(-1, keepdim=True)
    own = torch.eye(length, dtype=torch.float64, device=apart.device)
    return torch.where(total > 0, apart / total.clamp(min=1e-300), own)


def _zeroed(
    recording: Recording, layer: int, positions: list[int]
) -> Float[Tensor, "rows positions width"]:
    """What leaves the layer with one position's value zeroed in each row; clean without any."""
    length, clean = recording.length, recording.calls[layer]

    def attention(call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        allowed = clean.allowed[:length, :length].to(call.query.device)
        if clean.owner is not None and clean.keys is not None and clean.values is not None:
            rows = (len(call.query), -1, -1, -1)
            call = replace(
                call,
                key=clean.keys[:, :, :length].expand(rows),
                value=clean.values[:, :, :length].expand(rows),
            )
        value = call.value.clone()
        for index, position in enumerate(positions):
            value[index, :, position] = 0
        return replace(call, value=value).masked(allowed[None, None]).run()

    rows = recording.stream[layer].expand(max(1, len(positions)), -1, -1)
    with attending(recording.checkpoint.parts.decoder, attention):
        return call_layer(recording, layer, rows.contiguous(), torch.arange(length))
