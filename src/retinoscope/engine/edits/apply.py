"""Carrying edits out: the one place where the replay, the full forward and decoding do it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retinoscope.engine.edits.steps import stepwise
from retinoscope.engine.recording.attention import AttentionCall
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import NOWHERE, WEIGHTS, Looking, ModuleTap
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


class LayerEdits:
    """What is in force while one layer runs: each row's edits, and what is looked at.

    Args:
        rows: what each row's condition does.
        layer: the decoder layer.
        looking: at sites of the layer, in every row.

    Attributes:
        sites: those inside the layer that are written or looked at.
        step_rows: rows whose attention is done step by step, because its weights are written or
            looked at, or some of its edges patched.
    """

    def __init__(self, rows: Sequence[Edits], layer: int, looking: Looking = NOWHERE) -> None:
        self.rows, self.layer = rows, layer
        self._looking = looking
        written = [(row, write.site) for row, one in enumerate(rows) for write in inner(one, layer)]
        looked = {s for s in looking.sites if s.layer == layer and s.name not in STREAM}
        self.sites = {site for _, site in written} | looked
        self._weights = [site for site in looked if site.name in WEIGHTS]
        stepped = {row for row, site in written if site.name in WEIGHTS}
        stepped |= {row for row, one in enumerate(rows) if patched_edges(one, layer)}
        self.step_rows = list(range(len(rows))) if self._weights else sorted(stepped)

    def modules(self, recording: Recording) -> list[tuple[Site, ModuleTap]]:
        """The sites that are reached at modules."""
        taps = [(site, recording.tap(site)) for site in self.sites]
        return [(site, tap) for site, tap in taps if isinstance(tap, ModuleTap)]

    def at(self, site: Site, state: Tensor, positions: Sequence[int]) -> Tensor:
        """A site's state, [rows, positions, ...], as it goes on."""
        return self._looking.at(site, apply(state, self.rows, site, positions))

    def stepwise(
        self, call: AttentionCall, rows: Sequence[int], positions: Sequence[int]
    ) -> Float[Tensor, "batch queries heads width"]:
        """Attention step by step, with weights written and edges patched.

        Args:
            call: of some rows that stand one after the other in its queries; with an additive mask.
            rows: which.
            positions: of each row's queries.
        """
        some = [self.rows[row] for row in rows]
        patched = [edge for one in some for edge in patched_edges(one, self.layer)]
        sites = {write.site for one in some for write in inner(one, self.layer)}
        sites |= {*self._weights}
        names = [name for name in WEIGHTS if Site(name, self.layer) in sites]

        def visit(name: str, state: Tensor) -> Tensor:
            site = Site(name, self.layer)
            each = state.reshape(len(rows), len(positions), *state.shape[2:])
            return self._looking.at(site, apply(each, some, site, positions)).view_as(state)

        return stepwise(call, patched, names, visit, positions[0])


def patched_edges(edits: Edits, layer: int) -> list[Edge]:
    """The edges of a layer that read another source."""
    return [edge for edge in edges(edits, layer) if edge.source is not None]


def removed_edges(
    rows: Sequence[Edits], layer: int, shape: tuple[int, int, int], start: int = 0
) -> Bool[Tensor, "rows #heads queries keys"] | None:
    """True where an edge of a layer is removed, in each row; None where none is.

    The heads' dimension is 1 unless an edge names heads.

    Args:
        rows: what each row's condition does.
        layer: the decoder layer.
        shape: how many heads, queries and keys it has; keys count from the first position.
        start: the position of the first query; no edge has an earlier one.
    """
    chosen = [[e for e in edges(one, layer) if e.source is None] for one in rows]
    if not any(chosen):
        return None
    heads, queries, keys = shape
    per_head = any(edge.heads is not None for some in chosen for edge in some)
    mask = torch.zeros(
        *(len(rows), heads if per_head else 1, queries, keys), dtype=torch.bool, device="cpu"
    )
    for index, some in enumerate(chosen):
        for edge in some:
            remove_edge(mask[index], edge, start)
    return mask


def remove_edge(mask: Bool[Tensor, "heads queries keys"], edge: Edge, start: int = 0) -> None:
    """Set an edge in a mask on the CPU whose queries count from `start`."""
    # Through NumPy, which sets few entries in a quarter of the time.
    entries, keys = mask.numpy(), np.array(edge.keys)
    queries = np.array(edge.queries)[:, None] - start
    if edge.heads is None:
        entries[:, queries, keys] = True
    else:
        entries[np.array(edge.heads)[:, None, None], queries, keys] = True
