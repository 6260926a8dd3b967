"""From the blocks of many conditions to one mask for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from jaxtyping import Bool
from torch import Tensor

from retinoscope.engine.recording import Recording
from retinoscope.errors import InterventionError
from retinoscope.interventions import Sites


def check_edges(sites: Sites, recording: Recording) -> None:
    """Refuse edges that don't exist and queries that would be left without any key.

    Raises:
        InterventionError: in no layer of a knockout may a query read any of its keys, or a key be
            read by any of its queries; or a query would have nothing left to read.
    """
    for (queries, keys), blocks in groupby(sites.blocks, key=lambda b: (b.queries, b.keys)):
        layers = [block.layer for block in blocks]
        exists = torch.stack(
            [recording.calls[layer].allowed[list(queries)][:, list(keys)] for layer in layers]
        ).any(0)
        for kind, dim, positions in (("key", 0, keys), ("query", 1, queries)):
            idle = [
                p for p, used in zip(positions, exists.any(dim).tolist(), strict=True) if not used
            ]
            if idle:
                raise InterventionError(
                    f"Knockout has no edge to cut at {kind} position(s) {idle[:5]}: the model does "
                    "not attend there anyway (a key after its query, or outside a sliding "
                    "window). Leave these positions out."
                )
    for layer in sorted({block.layer for block in sites.blocks}):
        mask = blocked([sites], layer, recording, recording.length)
        if mask is None:
            continue
        allowed = recording.calls[layer].allowed[: recording.length, : recording.length]
        empty = torch.nonzero(~(allowed & ~mask[0]).any(-1))
        if len(empty):
            raise InterventionError(
                f"Knockout leaves query position {int(empty[0, -1])} of layer {layer} without any "
                "key to read, which no model is made for; keep at least one key, such as the first."
            )


def blocked(
    conditions: Sequence[Sites], layer: int, recording: Recording, total: int
) -> Bool[Tensor, "conditions heads total total"] | None:
    """True where an edge of this layer is cut, for each condition; None where none is.

    The heads' dimension is 1 unless a block names heads.

    Args:
        conditions: what each condition touches.
        layer: the decoder layer.
        recording: for the number of heads and the device.
        total: positions to cover (prompt and room).
    """
    chosen = [[b for b in sites.blocks if b.layer == layer] for sites in conditions]
    if not any(chosen):
        return None
    per_head = any(block.heads is not None for blocks in chosen for block in blocks)
    heads = recording.head_count if per_head else 1
    device = recording.calls[layer].allowed.device
    mask = torch.zeros(len(conditions), heads, total, total, dtype=torch.bool, device=device)
    for index, blocks in enumerate(chosen):
        for block in blocks:
            which = torch.tensor(block.heads if block.heads is not None else range(heads))
            queries, keys = torch.tensor(block.queries), torch.tensor(block.keys)
            mask[index, which[:, None, None], queries[None, :, None], keys[None, None, :]] = True
    return mask
