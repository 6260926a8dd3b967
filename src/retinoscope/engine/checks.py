"""What a condition touches on one recording, checked once for all conditions that share it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from retinoscope.engine.blocking import cut
from retinoscope.engine.recording import Recording, reads_sequence
from retinoscope.errors import InterventionError
from retinoscope.interventions import Block, Condition, Intervention, Sites, joined, touched


class Checked:
    """Resolves conditions against a recording; what was checked before is not checked again.

    An intervention that stands in several conditions is resolved once, so that these conditions
    also share its work when they are replayed.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._sites: dict[int, tuple[Intervention, Sites]] = {}
        self._passed: set[Hashable] = set()

    def sites(self, condition: Condition) -> Sites:
        """What a condition touches.

        Raises:
            InterventionError: it can't be applied, or would change nothing.
        """
        sites = joined(self._resolved(intervention) for intervention in condition)
        if condition and not (sites.writes or sites.blocks):
            raise InterventionError(f"{condition!r} touches nothing; leave it out.")
        if self.recording.fallback is None:
            self._check_edges(sites)
            self._check_queries(sites)
        return sites

    def _resolved(self, intervention: Intervention) -> Sites:
        if id(intervention) not in self._sites:
            self._sites[id(intervention)] = (intervention, touched(intervention, self.recording))
        return self._sites[id(intervention)][1]

    def _check_edges(self, sites: Sites) -> None:
        """Refuse positions of a knockout that take part in no edge in any of its layers."""
        masks: defaultdict[tuple[Block, str], dict[int, Tensor]] = defaultdict(dict)
        for block in sites.blocks:
            call = self.recording.calls[block.layer]
            if call.mixing == "left context":
                raise InterventionError(
                    f"Knockout names layer {block.layer}, which mixes positions without "
                    "attention (a convolution or a recurrence), so there is no edge to cut; "
                    "leave that layer out."
                )
            inside = reads_sequence(call)
            check_keys(block, self.recording.length if inside else call.allowed.shape[1])
            masks[anywhere(block), call.mixing][id(call.allowed)] = call.allowed
        for (block, mixing), allowed in masks.items():
            key = (block, mixing, *allowed)
            if key not in self._passed:
                edges = [
                    mask[list(block.queries)][:, list(block.keys)] for mask in allowed.values()
                ]
                check_edges(block.queries, block.keys, torch.stack(edges).any(0))
                self._passed.add(key)

    def _check_queries(self, sites: Sites) -> None:
        """Refuse queries that would be left without any key."""
        layers: defaultdict[int, list[Block]] = defaultdict(list)
        for block in sites.blocks:
            layers[block.layer].append(block)
        for layer, blocks in layers.items():
            allowed = self.recording.calls[layer].allowed
            key = (id(allowed), *map(anywhere, blocks))
            if key not in self._passed:
                check_queries(layer, blocks, allowed, self.recording.head_count)
                self._passed.add(key)


def anywhere(block: Block) -> Block:
    """A block without its layer: what it is in every layer that it names."""
    return replace(block, layer=0)


def check_keys(block: Block, count: int) -> None:
    """Every key of a block must be one of a layer's.

    Raises:
        InterventionError: one lies behind them.
    """
    if block.keys[-1] >= count:
        raise InterventionError(
            f"Knockout names key {block.keys[-1]} in layer {block.layer}, which has keys "
            f"0..{count - 1}."
        )


def check_edges(
    queries: Iterable[int], keys: Iterable[int], edges: Bool[Tensor, "queries keys"]
) -> None:
    """Every query must be able to read one of the keys, every key be readable by a query.

    Raises:
        InterventionError: one is idle, so that the knockout would not do what it says.
    """
    for kind, dim, positions in (("key", 0, keys), ("query", 1, queries)):
        idle = [p for p, used in zip(positions, edges.any(dim).tolist(), strict=True) if not used]
        if idle:
            raise InterventionError(
                f"Knockout has no edge to cut at {kind} position(s) {idle[:5]}: the model does "
                "not attend there anyway (a key after its query, or outside a sliding window). "
                "Leave these positions out."
            )


def check_queries(
    layer: int, blocks: list[Block], allowed: Bool[Tensor, "positions keys"], heads: int
) -> None:
    """Every query must keep a key that it can read.

    Raises:
        InterventionError: one would have none.
    """
    queries = sorted({query for block in blocks for query in block.queries})
    per_head = any(block.heads is not None for block in blocks)
    rows = torch.zeros(heads if per_head else 1, len(allowed), allowed.shape[1], dtype=torch.bool)
    for block in blocks:
        cut(rows, block)
    left = (allowed[queries].cpu() & ~rows[:, queries]).any(-1)
    empty = torch.nonzero(~left)
    if len(empty):
        raise InterventionError(
            f"Knockout leaves query position {queries[int(empty[0, -1])]} of layer {layer} "
            "without any key to read, which no model is made for; keep at least one key, such "
            "as the first."
        )
