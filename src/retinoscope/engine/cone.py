"""The causal cone of a condition: the first position whose states it can change."""

from __future__ import annotations

import torch

from retinoscope.engine.recording import Recording, reads_sequence
from retinoscope.interventions import Sites


def first_changed(sites: Sites, recording: Recording) -> int:
    """The first position that differs from the clean run in any layer; `length` if none does.

    In a causal model it is the first touched position. Where positions read ahead (PaliGemma's
    prefix, Gemma 3's image blocks), it is found by following the recorded masks from layer to
    layer.
    """
    touched = [p for write in sites.writes for p in write.positions[:1]]
    touched += [block.queries[0] for block in sites.blocks]
    if not touched:
        return recording.length
    if recording.causal:
        return min(touched)
    return _first_reached(sites, recording)


def _first_reached(sites: Sites, recording: Recording) -> int:
    """Reachability over the recorded masks."""
    length = recording.length
    reached = torch.zeros(length, dtype=torch.bool)
    for place in range(recording.layer_count + 1):
        for write in sites.writes:
            if write.layer == place:
                reached[list(write.positions)] = True
        if place == recording.layer_count:
            break
        call = recording.calls[place]
        if reads_sequence(call) and bool(reached.any()):
            allowed = call.allowed[:length, :length].cpu()
            reached = reached | (allowed & reached).any(-1)
        for block in sites.blocks:
            if block.layer == place:
                reached[list(block.queries)] = True
    return int(reached.nonzero()[0])
