"""Calling one decoder layer on some positions, the way the model called it on all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from retinoscope.engine.recording.recording import LayerCall, Recording

OUTSIDE = ("cross_attention_states", "encoder_hidden_states")
"""Arguments that hold no positions of the sequence, whatever their shape."""

CLEARED = {
    "past_key_values": None,
    "past_key_value": None,
    "use_cache": False,
}
"""Arguments that the engine takes the place of: caches."""


def call_layer(recording: Recording, index: int, hidden: Tensor, positions: Tensor) -> Tensor:
    """One decoder layer on chosen positions, called the way the model called it.

    Args:
        recording: the clean run.
        index: the layer.
        hidden: its input, [rows, positions, width].
        positions: where in the sequence the input's second dimension stands.
    """
    call = recording.calls[index]
    total = len(call.allowed)
    options = {
        name: value if name in OUTSIDE else at_positions(value, total, positions, len(hidden))
        for name, value in call.options.items()
    }
    options |= {name: value for name, value in CLEARED.items() if name in options}
    if "attention_mask" in options and padding_mask(call) is None:
        options["attention_mask"] = None
    args = at_positions(call.args, total, positions, len(hidden))
    output: Any = recording.checkpoint.parts.layers[index](hidden, *args, **options)
    return output[0] if isinstance(output, tuple) else output


def padding_mask(call: LayerCall) -> Shaped[Tensor, "1 recorded"] | None:
    """The mask by which a layer without attention blanks padding itself; None where there is none.

    Every other mask is the attention function's, whose place the engine takes.
    """
    mask = call.options.get("attention_mask")
    if call.mixing == "left context" and isinstance(mask, Tensor) and mask.ndim == 2:
        return mask
    return None


def at_positions(value: Any, total: int, positions: Tensor, rows: int) -> Any:
    """Recorded arguments of a layer, cut down to some of its positions.

    Every tensor that has the sequence's length in a dimension after the first (the batch) is
    indexed there: position embeddings [batch, positions, width] in the last dimension but one,
    position ids (and multi-axis ones) in the last. A number for each position (its kind, its
    place) is repeated for each row, since some models take it for as many as there are states
    (Ernie 4.5 VL MoE). Everything else is passed on.
    """
    if isinstance(value, Tensor):
        for dim in range(min(1, value.ndim - 1), value.ndim):
            if value.shape[dim] == total:
                chosen = value.index_select(dim, positions.to(value.device))
                each = chosen.ndim == 2 and not chosen.is_floating_point()
                return chosen.expand(rows, -1) if each and len(chosen) == 1 else chosen
        return value
    if isinstance(value, dict):
        return {key: at_positions(item, total, positions, rows) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(at_positions(item, total, positions, rows) for item in value)
    return value


SHORT = 16
"""A reach up to this is taken as a convolution's; anything longer as a recurrence's."""


def with_context(recording: Recording) -> Recording:
    """The recording with each such layer's reach measured; it falls back if one reads ahead."""
    calls = list(recording.calls)
    for index, call in enumerate(calls):
        if call.mixing == "left context":
            reach = reach_back(recording, index)
            if reach is None:
                reason = f"decoder layer {index} mixes positions in a way that is not causal"
                return replace(recording, calls=(), fallback=reason)
            calls[index] = replace(call, context=reach)
    return replace(recording, calls=tuple(calls))


def reach_back(recording: Recording, index: int) -> int | None:
    """How many positions back one layer reads; the whole length if far, None if it reads ahead.

    Measured by moving the layer's clean input at one position and seeing whose output moves; where
    none does, nothing is known, and all is taken.
    """
    clean = recording.stream[index][None]
    moved = clean.clone()
    at = _middle(recording, index)
    moved[0, at] = -clean[0, at].roll(1)
    every = torch.arange(recording.length)
    before, after = (call_layer(recording, index, hidden, every) for hidden in (clean, moved))
    change = (after - before)[0].float().abs().amax(-1)
    if bool((change[:at] > 1e-5 * float(change.max())).any()):
        return None
    if not bool(change.any()):
        return recording.length
    reach = int(torch.nonzero(change)[-1]) - at
    return reach if reach <= min(SHORT, recording.length - 2 - at) else recording.length


def _middle(recording: Recording, index: int) -> int:
    """The middle of the positions that the layer doesn't take as padding."""
    mask = padding_mask(recording.calls[index])
    if mask is None:
        return recording.length // 2
    read = torch.nonzero(mask[0, : recording.length]).flatten().tolist()
    return read[len(read) // 2] if read else recording.length // 2
