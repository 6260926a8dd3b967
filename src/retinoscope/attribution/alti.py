"""ALTI: how much of each position's state after attention each position contributes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retinoscope.attribution.layers import last_row, require_attention, states_of, visual_scores
from retinoscope.engine import Recording
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.errors import ModelError
from retinoscope.interventions import Site

CHUNK = 1 << 28
"""Bytes of parts (queries x keys x width) that are held at a time."""


@torch.no_grad()
def alti(recording: Recording) -> Float[Tensor, " tokens"]:
    """Contributions of attention blocks, carried through the layers (Ferrando et al. 2022).

    arXiv 2203.04212, for layers that norm what they read: attention's output at a position, with
    the residual stream it is added to, is a sum of one vector for each position that is read (its
    value, weighted and projected; the position's own with the residual stream). A part's
    contribution is max(0, |sum| - |sum - part|) in the 1-norm, scaled so that a position's
    contributions add up to 1; the layers' matrices are multiplied. MLPs are not in it.

    Where a norm stands between attention and the stream, its scale at the clean run is kept.

    Returns:
        One share for each visual token, ascending by position, 0 to 1, float32 on the CPU; with
        the shares of text positions, which are left out, they would add up to 1.

    Raises:
        ModelError: the model's layers can't be replayed, one does not attend within the sequence,
            or attention's output is not a linear projection of what its heads read.
    """
    require_attention(recording, "ALTI")
    missing = [s for s in _sites(recording) if not recording.has(s)]
    if missing:
        raise ModelError(
            f"ALTI needs what attention adds to the residual stream, and "
            f"{recording.checkpoint.name} has no site {missing[0]} (see view.sites)."
        )
    row = last_row(recording)
    for layer, states in states_of(recording, ["attn_probs", "attn_out", "attn_out_post"]):
        row = row @ contributions(recording, layer, states).cpu()
    return visual_scores(recording, row)


def contributions(
    recording: Recording, layer: int, states: Mapping[str, Tensor]
) -> Float[Tensor, "queries keys"]:
    """How much each position (column) contributes to each (row) in one layer; rows add up to 1.

    Args:
        recording: the clean run.
        layer: the decoder layer.
        states: its attn_probs, attn_out and attn_out_post, at every position.

    Raises:
        ModelError: no module of the layer projects what the heads read to attention's output.
    """
    weights = states["attn_probs"].float()
    out, added = states["attn_out"].float(), states["attn_out_post"].float()
    values = _values(recording, layer, weights.shape[1]).to(weights)
    parts = torch.einsum("hkw,hwo->hko", values, _projection(recording, layer, values, states))
    scale = torch.where(out == 0, 0, added / out)
    stream = recording.residual(layer).float()
    whole = stream + added
    size = whole.abs().sum(-1)
    length, width = stream.shape
    rows = max(1, CHUNK // (4 * length * width))
    found = weights.new_zeros(length, length)
    for start in range(0, length, rows):
        chosen = torch.arange(start, min(length, start + rows))
        part = torch.einsum("qhk,hko->qko", weights[chosen], parts) * scale[chosen, None]
        part[torch.arange(len(chosen)), chosen] += stream[chosen]
        left = (whole[chosen, None] - part).abs().sum(-1)
        found[chosen] = (size[chosen, None] - left).clamp(min=0)
    read = (weights.sum(1) > 0) | torch.eye(length, dtype=torch.bool, device=weights.device)
    found = found.masked_fill(~read, 0)
    total = found.sum(-1, keepdim=True)
    # A position that no part comes near counts as made of itself.
    own = torch.eye(length, device=found.device)
    return torch.where(total > 0, found / total.clamp(min=1e-30), own)


def _sites(recording: Recording) -> list[Site]:
    names = ("attn_out", "attn_out_post")
    return [Site(name, layer) for layer in range(recording.layer_count) for name in names]


def _values(recording: Recording, layer: int, heads: int) -> Float[Tensor, "heads keys width"]:
    """The clean run's values, those of a group once for each of its heads."""
    mixing = recording.layers[layer].mixing
    assert isinstance(mixing, SelfAttention)
    values = mixing.values[0, :, : recording.length]
    return values.repeat_interleave(heads // len(values), 0)


def _projection(
    recording: Recording,
    layer: int,
    values: Float[Tensor, "heads keys width"],
    states: Mapping[str, Tensor],
) -> Float[Tensor, "heads width out"]:
    """The matrix from what the heads read to attention's output, proved on the clean run.

    It is found by what it does, not by its name: applied to the heads' weighted values it gives the
    output that was captured. Adapters and quantised weights are in it.
    """
    weights, out = states["attn_probs"].float(), states["attn_out"].float()
    heads, _, width = values.shape
    read = torch.einsum("qhk,hkw->qhw", weights, values).flatten(1)
    close = (1e-4 if states["attn_out"].dtype == torch.float32 else 5e-2) * float(out.abs().max())
    for module in recording.checkpoint.parts.layers[layer].modules():
        if getattr(module, "in_features", None) != heads * width:
            continue
        if getattr(module, "out_features", None) != out.shape[-1]:
            continue
        dtype = states["attn_out"].dtype
        made = module(read.to(dtype)).float()
        if torch.allclose(made, out, rtol=0, atol=close):
            return _matrix(module, read, dtype).unflatten(0, (heads, width))
    raise ModelError(
        f"In decoder layer {layer} of {recording.checkpoint.name} no single projection leads from "
        "what the heads read to attention's output (it is gated, or a step lies between), so that "
        "ALTI is not defined for this model."
    )


def _matrix(
    module: nn.Module, like: Float[Tensor, "rows width"], dtype: torch.dtype
) -> Float[Tensor, "width out"]:
    inputs = torch.eye(like.shape[-1], dtype=dtype, device=like.device)
    return module(inputs).float() - module(torch.zeros_like(inputs[:1])).float()
