"""From the cut edges of many conditions to one mask for each layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from retinoscope.engine.recording import Recording
from retinoscope.interventions import Edge, Edits


def edges(edits: Edits, layer: int | None = None) -> list[Edge]:
    """The edges among some edits, of one layer or of all."""
    return [e for e in edits if isinstance(e, Edge) and (layer is None or e.layer == layer)]


def cut_edges(
    conditions: Sequence[Edits], layer: int, recording: Recording, start: int
) -> Bool[Tensor, "conditions heads suffix keys"] | None:
    """True where an edge of this layer is cut, for each condition; None where none is.

    The heads' dimension is 1 unless an edge names heads. Queries count from `start`, keys from
    the first.

    Args:
        conditions: what each condition does.
        layer: the decoder layer.
        recording: for the number of heads, the keys and the device.
        start: the first query that is replayed; no edge has an earlier one.
    """
    chosen = [[e for e in edges(edits, layer) if e.source is None] for edits in conditions]
    if not any(chosen):
        return None
    call = recording.calls[layer]
    keys = call.allowed.shape[1] if call.mixing == "cross-attention" else recording.length
    per_head = any(edge.heads is not None for some in chosen for edge in some)
    heads = recording.head_count if per_head else 1
    shape = (len(conditions), heads, recording.length - start, keys)
    mask = torch.zeros(shape, dtype=torch.bool)
    for index, some in enumerate(chosen):
        for edge in some:
            cut(mask[index], edge, start)
    return mask.to(call.allowed.device)


def cut(mask: Bool[Tensor, "heads queries keys"], edge: Edge, start: int = 0) -> None:
    """Set an edge in a mask whose queries count from `start`."""
    heads = torch.tensor(edge.heads if edge.heads is not None else range(mask.shape[0]))
    queries, keys = torch.tensor(edge.queries) - start, torch.tensor(edge.keys)
    mask[heads[:, None, None], queries[None, :, None], keys[None, None, :]] = True
