"""Value zeroing: how far each position's state turns when one position's value is taken away."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution.layers import last_row, require_attention, visual_scores
from retinoscope.engine import Recording
from retinoscope.engine.recording.attention import AttentionCall, attending
from retinoscope.engine.recording.layer import SelfAttention

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
    whole = _zeroed(recording, layer, [], 0)[0].double()
    allowed = recording.layers[layer].allowed[:length, :length].to(apart.device)
    for at in range(0, length, ROWS):
        some = [*range(at, min(length, at + ROWS))]
        readers = allowed[:, some].any(1).nonzero().flatten().tolist()
        # What stands before the first reader can't change.
        start = readers[0] if readers else length
        changed = _zeroed(recording, layer, some, start).double()
        near = torch.cosine_similarity(changed, whole[start:].expand_as(changed), dim=-1)
        apart[start:, some] = (1 - near).clamp(min=0).T
    apart = apart.masked_fill(~allowed, 0)
    total = apart.sum(-1, keepdim=True)
    own = torch.eye(length, dtype=torch.float64, device=apart.device)
    return torch.where(total > 0, apart / total.clamp(min=1e-300), own)


def _zeroed(
    recording: Recording, layer: int, positions: list[int], start: int
) -> Float[Tensor, "rows positions width"]:
    """What leaves the layer from `start` on, one position's value zeroed in each row.

    Clean without positions. Keys and values are those of the clean run: what enters the layer is.
    """
    length, clean = recording.length, recording.layers[layer]
    assert isinstance(clean.mixing, SelfAttention)
    keys, values = clean.mixing.keys[:, :, :length], clean.mixing.values[:, :, :length]

    def attention(call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        allowed = clean.allowed[start:length, :length].to(call.query.device)
        rows = (len(call.query), -1, -1, -1)
        value = values.expand(rows).clone()
        for index, position in enumerate(positions):
            value[index, :, position] = 0
        call = replace(call, key=keys.expand(rows), value=value)
        return call.masked(allowed[None, None]).run()

    entering = recording.stream[layer][start:]
    rows = entering.expand(max(1, len(positions)), -1, -1).contiguous()
    with attending(recording.checkpoint.parts.decoder, attention):
        return clean(rows, torch.arange(start, length))
