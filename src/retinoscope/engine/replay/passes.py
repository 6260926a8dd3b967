"""Which conditions run in one pass: the cone of each, and how many fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from retinoscope.engine.edits.apply import place_of
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.engine.recording.recording import Recording
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
        layer = recording.layers[place]
        if layer.reads_sequence and bool(reached.any()):
            allowed = layer.allowed[:length, :length].cpu()
            reached = reached | (allowed & reached).any(-1)
        for edge in here:
            if isinstance(edge, Edge):
                reached[list(edge.queries)] = True
    return int(reached.nonzero()[0])


def groups(edits: Sequence[Edits], recording: Recording) -> Iterator[tuple[int, list[int]]]:
    """Conditions that are replayed from the same position on, and that position.

    Conditions whose cones begin a little later join in: a tenth more positions, or a few, cost
    less than a pass of their own. Those that touch nothing are left out.
    """
    length = recording.length
    starts = [first_changed(one, recording) for one in edits]
    order = sorted((i for i in range(len(edits)) if starts[i] < length), key=lambda i: starts[i])
    at = 0
    while at < len(order):
        start = starts[order[at]]
        reach = start + max(4, (length - start) // 11)
        members = [i for i in order[at:] if starts[i] <= reach]
        yield start, members
        at += len(members)


def row_bytes(recording: Recording, start: int, per_head: bool) -> int:
    """Roughly what one condition holds in memory at once while it is replayed.

    Args:
        recording: the clean run.
        start: the first position that is replayed.
        per_head: whether masks differ from head to head.
    """
    width = recording.stream[0].shape[-1]
    size = recording.stream[0].element_size()
    suffix, heads = recording.length - start, recording.head_count
    states = 16 * width * suffix * size
    scores = heads * suffix * recording.length * (8 if suffix <= 16 else 1)
    masks = suffix * recording.length * (heads if per_head else 1)
    copies = 2 * width * recording.length * size if suffix > 16 else 0
    return states + scores + masks + copies + recording.logits.shape[-1] * 4


def kept_bytes(recording: Recording) -> int:
    """What one condition's own keys and values take up at most."""
    mixings = (layer.mixing for layer in recording.layers)
    attending = (one for one in mixings if isinstance(one, SelfAttention))
    stores = [t for one in attending for t in (one.keys, one.values)]
    return sum(t.numel() * t.element_size() for t in stores) + 1
