"""Carrying edits out: the one place where the replay, the full forward and decoding do it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from retinoscope.engine.recording.recording import Recording
from retinoscope.errors import InterventionError
from retinoscope.interventions import Edge, Edits, Site, Write

STREAM = ("embeddings", "resid_pre", "resid_post")
"""Sites at the borders of layers; all others are reached while a layer runs."""


def place_of(edit: Write | Edge, layers: int) -> int:
    """The place of the residual stream at which an edit takes hold, 0 to the number of layers.

    What is done inside a layer counts to its entry: there the rows of a batch fork.
    """
    if isinstance(edit, Edge):
        return edit.layer
    site = edit.site
    if site.layer is None:
        return 0 if site.name == "embeddings" else layers
    return site.layer + (site.name == "resid_post")


def inner(edits: Edits, layer: int) -> list[Write]:
    """Writes that are carried out while a layer runs."""
    writes = [edit for edit in edits if isinstance(edit, Write)]
    return [w for w in writes if w.site.layer == layer and w.site.name not in STREAM]


def apply(
    state: Tensor,
    rows: Sequence[Edits],
    site: Site,
    positions: Sequence[int],
    keys: int | None = None,
) -> Tensor:
    """A site's state with every write of it carried out in its own row; the same object if none is.

    Args:
        state: [rows, positions, ...]; a leading dimension more (several residual streams) is taken
            along.
        rows: what each row's condition does.
        site: where the state is.
        positions: which position of the prompt each of the state's columns stands for; a written
            position that is not there is not run and not asked for.
        keys: of `attn_scores` and `attn_probs` how many are written; behind them are generated
            positions. None is all of them.
    """
    writes = [
        (row, edit)
        for row, edits in enumerate(rows)
        for edit in edits
        if isinstance(edit, Write) and edit.site == site
    ]
    if not writes:
        return state
    state = state.clone()
    for row, write in writes:
        found = [i for i, position in enumerate(write.positions) if position in positions]
        if not found:
            continue
        columns = [positions.index(write.positions[i]) for i in found]
        streams = state if state.ndim > 3 and site.name in STREAM else state[None]
        for stream in streams:
            there = stream[row, columns]
            new = _changed(write, there[..., :keys], found)
            rest = there[..., new.shape[-1] :]
            stream[row, columns] = torch.cat([new, rest], -1) if rest.shape[-1] else new
    return state


def _changed(write: Write, old: Tensor, found: list[int]) -> Tensor:
    """What a write makes of the states at its positions, or those of them that are run."""
    if isinstance(write.value, Tensor):
        new = write.value[found].to(old)
    else:
        new = write.value(old)
        if not isinstance(new, Tensor) or new.shape != old.shape:
            given = list(new.shape) if isinstance(new, Tensor) else repr(new)
            raise InterventionError(
                f"The function written to {write.site} made {given} of a state of shape "
                f"{list(old.shape)}; it must return one of the same shape."
            )
        if not bool(torch.isfinite(new).all()):
            raise InterventionError(
                f"The function written to {write.site} gave numbers that are not finite."
            )
        new = new.to(old)
    return old + new if write.add else new


def edges(edits: Edits, layer: int | None = None) -> list[Edge]:
    """The edges among some edits, of one layer or of all."""
    return [e for e in edits if isinstance(e, Edge) and (layer is None or e.layer == layer)]


def removed_edges(
    conditions: Sequence[Edits], layer: int, recording: Recording, start: int
) -> Bool[Tensor, "conditions heads suffix keys"] | None:
    """True where an edge of this layer is removed, for each condition; None where none is.

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
            remove_edge(mask[index], edge, start)
    return mask.to(call.allowed.device)


def remove_edge(mask: Bool[Tensor, "heads queries keys"], edge: Edge, start: int = 0) -> None:
    """Set an edge in a mask whose queries count from `start`."""
    heads = torch.tensor(edge.heads if edge.heads is not None else range(mask.shape[0]))
    queries, keys = torch.tensor(edge.queries) - start, torch.tensor(edge.keys)
    mask[heads[:, None, None], queries[None, :, None], keys[None, None, :]] = True
