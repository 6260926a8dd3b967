"""The causal cone of a condition: the first position whose states it can change."""

from __future__ import annotations

import torch

from retinoscope.engine.apply import place_of
from retinoscope.engine.recording import Recording, reads_sequence
from retinoscope.interventions import Edge, Edits, Write


def first_changed(edits: Edits, recording: Recording) -> int:
    """The first position that differs from the clean run in any layer; `length` if none does.

    In a causal model it is the first touched position. Where positions read ahead (PaliGemma's
    prefix, Gemma 3's image blocks), it is found by following the recorded masks from layer to
    layer.
    """
    if not edits:
        return recording.length
    if recording.causal:
        return min(_touched(edit)[0] for edit in edits)
    return _first_reached(edits, recording)


def _touched(edit: Write | Edge) -> tuple[int, ...]:
    """Positions whose states an edit changes itself."""
    return edit.queries if isinstance(edit, Edge) else edit.positions


def _first_reached(edits: Edits, recording: Recording) -> int:
    """Reachability over the recorded masks."""
    length, layers = recording.length, recording.layer_count
    reached = torch.zeros(length, dtype=torch.bool)
    by_place: dict[int, list[Write | Edge]] = {}
    for edit in edits:
        by_place.setdefault(place_of(edit, layers), []).append(edit)
    for place in range(layers + 1):
        here = by_place.get(place, [])
        for write in here:
            if isinstance(write, Write):
                reached[list(write.positions)] = True
        if place == layers:
            break
        call = recording.calls[place]
        if reads_sequence(call) and bool(reached.any()):
            allowed = call.allowed[:length, :length].cpu()
            reached = reached | (allowed & reached).any(-1)
        for edge in here:
            if isinstance(edge, Edge):
                reached[list(edge.queries)] = True
    return int(reached.nonzero()[0])
