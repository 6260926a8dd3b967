"""Attention of many rows that share the keys and values of a clean prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from retinoscope.engine.edits.apply import LayerEdits
from retinoscope.engine.recording.attention import AttentionCall, additive

FEW_QUERIES = 16
"""Up to this many queries in a row, copying the prefix for each row costs more than attending."""


def attend(
    call: AttentionCall,
    prefix: tuple[Float[Tensor, "1 groups prefix width"], Float[Tensor, "1 groups prefix width"]],
    own: tuple[Float[Tensor, "rows groups own width"], Float[Tensor, "rows groups own width"]],
    allowed: Bool[Tensor, "#rows #heads queries keys"],
) -> tuple[Float[Tensor, "rows queries heads width"], Tensor | None]:
    """Attention to the prefix, which all rows share, and to each row's own keys behind it.

    With few queries the prefix is read once for all rows; else it is copied for each row and the
    model's own attention function does the work. Both give the same to rounding.

    Args:
        call: of the layer's attention, with the queries of every row.
        prefix: keys and values that all rows read.
        own: keys and values of each row.
        allowed: which query may read which key, prefix first.
    """
    rows, _, queries, _ = call.query.shape
    plain = call.base is sdpa_attention_forward and call.options.get("position_bias") is None
    few = rows > 1 and queries <= FEW_QUERIES and prefix[0].shape[2] > 0
    # A padding position reads nothing, which SDPA answers with zero and a plain softmax with NaN.
    if plain and few and bool(allowed.any(-1).all()):
        return _shared(call.query, prefix, own, allowed, call.options.get("scaling")), None
    key, value = (
        torch.cat([clean.expand(rows, -1, -1, -1), new], dim=2)
        for clean, new in zip(prefix, own, strict=True)
    )
    return replace(call, key=key, value=value).masked(allowed).run()


def attend_edited(
    call: AttentionCall,
    prefix: tuple[Tensor, Tensor],
    own: tuple[Tensor, Tensor],
    allowed: Bool[Tensor, "#rows #heads queries keys"],
    now: LayerEdits,
    positions: Sequence[int],
) -> tuple[Float[Tensor, "rows queries heads width"], Tensor | None]:
    """As `attend`, step by step in rows whose weights are written or whose edges are patched.

    Args:
        call: as in `attend`.
        prefix: as in `attend`.
        own: as in `attend`.
        allowed: as in `attend`, without the edges that are removed.
        now: what is in force in the layer.
        positions: of the queries.
    """
    output, weights = attend(call, prefix, own, allowed)
    for row in now.step_rows:
        key, value = (
            torch.cat([clean, new[[row]]], dim=2) for clean, new in zip(prefix, own, strict=True)
        )
        mask = additive(allowed[[row if len(allowed) > 1 else 0]], call.query)
        one = replace(call, query=call.query[[row]], key=key, value=value, mask=mask)
        output = output.clone()
        output[row] = now.stepwise(one, [row], positions)[0]
    return output, weights


def _shared(
    query: Tensor,
    prefix: tuple[Tensor, Tensor],
    own: tuple[Tensor, Tensor],
    allowed: Tensor,
    scaling: float | None,
) -> Tensor:
    """Scores against the prefix as one product for all rows, one softmax over prefix and own."""
    (rows, heads, queries, width), groups = query.shape, own[0].shape[1]
    per_group, shared = heads // groups, prefix[0].shape[2]
    scaled = query * (width**-0.5 if scaling is None else scaling)
    grouped = scaled.reshape(rows, groups, per_group * queries, width)
    together = grouped.transpose(0, 1).reshape(groups, rows * per_group * queries, width)
    to_prefix = together @ prefix[0][0].transpose(-1, -2)
    to_own = (grouped @ own[0].transpose(-1, -2)).transpose(0, 1)
    shape = (groups, rows, per_group, queries)
    scores = torch.cat([to_prefix.view(*shape, -1), to_own.reshape(*shape, -1)], dim=-1)
    per_head = per_group if allowed.shape[1] > 1 else 1
    masked = ~allowed.expand(-1, heads if allowed.shape[1] > 1 else 1, -1, -1)
    scores = _filled(scores, masked.unflatten(1, (-1, per_head)).transpose(0, 1))
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    flat = weights.view(groups, rows * per_group * queries, -1)
    from_prefix = (flat[..., :shared] @ prefix[1][0]).view(*shape, -1)
    each = weights[..., shared:].transpose(0, 1).reshape(rows, groups, per_group * queries, -1)
    from_own = (each @ own[1]).view(rows, groups, per_group, queries, -1).transpose(0, 1)
    mixed = from_prefix + from_own
    return mixed.permute(1, 3, 0, 2, 4).reshape(rows, queries, heads, -1)


def _filled(
    scores: Float[Tensor, "groups rows per_group queries keys"],
    masked: Bool[Tensor, "#groups #rows #per_group queries keys"],
) -> Float[Tensor, "groups rows per_group queries keys"]:
    """Scores with minus infinity where a query must not read.

    Of many conditions at one query often few are kept from anything; filling in those alone
    spares a pass over all scores.
    """
    rows = masked.any(-1).any((0, 2, 3))
    if rows.all():
        return scores.masked_fill_(masked, -torch.inf)
    if rows.any():
        scores[:, rows] = scores[:, rows].masked_fill(masked[:, rows], -torch.inf)
    return scores
