"""Layers that mix positions without attention: convolutions and recurrences.

They are rerun with clean left context: a convolution needs a few positions, a recurrence all of
them. How far a layer reads back is measured, not looked up.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from retinoscope.engine.arguments import call_layer, padding_mask
from retinoscope.engine.recording import Recording

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
