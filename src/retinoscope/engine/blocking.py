"""From the blocks of many conditions to one mask for each layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from retinoscope.engine.recording import Recording
from retinoscope.interventions import Block, Sites


def blocked(
    conditions: Sequence[Sites], layer: int, recording: Recording, start: int
) -> Bool[Tensor, "conditions heads suffix keys"] | None:
    """True where an edge of this layer is cut, for each condition; None where none is.

    The heads' dimension is 1 unless a block names heads. Queries count from `start`, keys from
    the first.

    Args:
        conditions: what each condition touches.
        layer: the decoder layer.
        recording: for the number of heads, the keys and the device.
        start: the first query that is replayed; no block has an earlier one.
    """
    chosen = [[b for b in sites.blocks if b.layer == layer] for sites in conditions]
    if not any(chosen):
        return None
    call = recording.calls[layer]
    keys = call.allowed.shape[1] if call.mixing == "cross-attention" else recording.length
    per_head = any(block.heads is not None for blocks in chosen for block in blocks)
    heads = recording.head_count if per_head else 1
    shape = (len(conditions), heads, recording.length - start, keys)
    mask = torch.zeros(shape, dtype=torch.bool)
    for index, blocks in enumerate(chosen):
        for block in blocks:
            cut(mask[index], block, start)
    return mask.to(call.allowed.device)


def cut(mask: Bool[Tensor, "heads queries keys"], block: Block, start: int = 0) -> None:
    """Set a block's edges in a mask whose queries count from `start`."""
    heads = torch.tensor(block.heads if block.heads is not None else range(mask.shape[0]))
    queries, keys = torch.tensor(block.queries) - start, torch.tensor(block.keys)
    mask[heads[:, None, None], queries[None, :, None], keys[None, None, :]] = True
