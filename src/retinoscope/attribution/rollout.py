"""Attention rollout: how much of each visual token reaches the last position by attention alone."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.engine.recording.attention import AttentionCall, attending, eager_attention
from retinoscope.engine.recording.mixing import call_layer
from retinoscope.errors import ModelError


@torch.no_grad()
def attention_rollout(recording: Recording) -> Float[Tensor, " tokens"]:
    """The share of the last position that comes from each visual token (Abnar & Zuidema 2020).

    In each layer the attention weights are averaged over heads and mixed half and half with the
    identity, which stands for the residual connection; the layers' matrices are multiplied. Only
    the last position's row of the product is carried, from the last layer down, so one layer's
    weights are in memory at a time.

    Returns:
        One share for each visual token, ascending by position, 0 to 1, float32 on the CPU; with
        the shares of text positions, which are left out, they would add up to 1.

    Raises:
        ModelError: the model's layers can't be replayed, or a layer mixes positions otherwise
            than by attention within the sequence.
    """
    recording.require_replay("Attention rollout")
    row = torch.zeros(recording.length)
    row[-1] = 1.0
    for layer in reversed(range(recording.layer_count)):
        weights = _weights(recording, layer).float().mean(0).cpu()
        row = 0.5 * row + 0.5 * (row @ weights)
    return row[list(recording.encoded.layout.visual)]


def _weights(recording: Recording, layer: int) -> Float[Tensor, "heads positions positions"]:
    """The clean run's attention weights in one layer, rows adding up to 1."""
    found: list[Tensor] = []
    length = recording.length

    def attention(call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        clean = recording.calls[layer]
        allowed = clean.allowed[:length, :length].to(call.query.device)
        if clean.owner is not None and clean.keys is not None and clean.values is not None:
            call = replace(call, key=clean.keys[:, :, :length], value=clean.values[:, :, :length])
        output, weights = replace(call, base=eager_attention).masked(allowed[None, None]).run()
        if weights is not None:
            found.append(weights[0])
        return output, None

    with attending(recording.checkpoint.parts.decoder, attention):
        call_layer(recording, layer, recording.stream[layer][None], torch.arange(length))
    if len(found) != 1:
        raise ModelError(
            f"Decoder layer {layer} of {recording.checkpoint.name} does not show its attention "
            "weights, so attention rollout is not defined for this model."
        )
    return found[0]
