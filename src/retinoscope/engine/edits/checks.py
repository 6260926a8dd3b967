"""What a condition does to one recording, checked once for all conditions that share it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from retinoscope.engine.edits.apply import edges, remove_edge
from retinoscope.engine.recording.layer import LeftContext
from retinoscope.engine.recording.recording import Recording, Replay
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition, Edge, Edits, Intervention, edits_of


class Checked:
    """Resolves conditions against a recording; what was checked before is not checked again.

    An intervention that stands in several conditions is resolved once, so that these conditions
    also share its work when they are replayed.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._known: dict[int, tuple[Intervention, Edits]] = {}
        self._passed: set[Hashable] = set()
        self._numbers: dict[tuple[object, ...], int] = {}

    def edits(self, condition: Condition) -> Edits:
        """What a condition does.

        Raises:
            InterventionError: it can't be applied, or would change nothing.
        """
        edits = tuple(edit for one in condition for edit in self._resolved(one))
        if condition and not edits:
            raise InterventionError(f"{condition!r} changes nothing; leave it out.")
        if isinstance(self.recording.replay, Replay):
            # An edge may hold hundreds of positions: what it is but for its layer is told by a
            # number, so that they are compared once for each layer that it names.
            alike = [(edge, self._number(edge)) for edge in edges(edits)]
            self._check_edges(alike)
            self._check_queries(alike)
        return edits

    def _number(self, edge: Edge) -> int:
        """A number that edges share which differ in their layer alone."""
        held = (type(edge), *(each for name, each in vars(edge).items() if name != "layer"))
        return self._numbers.setdefault(held, len(self._numbers))

    def _resolved(self, intervention: Intervention) -> Edits:
        if id(intervention) not in self._known:
            self._known[id(intervention)] = (intervention, edits_of(intervention, self.recording))
        return self._known[id(intervention)][1]

    def _check_edges(self, alike: Sequence[tuple[Edge, int]]) -> None:
        """Refuse positions of a knockout that take part in no edge in any of its layers."""
        masks: defaultdict[tuple[int, bool], dict[int, Tensor]] = defaultdict(dict)
        some = {number: edge for edge, number in alike}
        for edge, number in alike:
            layer = self.recording.layers[edge.layer]
            if isinstance(layer.mixing, LeftContext):
                raise InterventionError(
                    f"Knockout names layer {edge.layer}, which mixes positions without "
                    "attention (a convolution or a recurrence), so there is no edge to knock out; "
                    "leave that layer out."
                )
            inside, allowed = layer.reads_sequence, layer.allowed
            check_keys(edge, self.recording.length if inside else allowed.shape[1])
            masks[number, inside][id(allowed)] = allowed
        for (number, inside), allowed in masks.items():
            key = (number, inside, *allowed)
            if key not in self._passed:
                edge = some[number]
                there = [mask[list(edge.queries)][:, list(edge.keys)] for mask in allowed.values()]
                check_edges(edge.queries, edge.keys, torch.stack(there).any(0))
                self._passed.add(key)

    def _check_queries(self, alike: Sequence[tuple[Edge, int]]) -> None:
        """Refuse queries that would be left without any key."""
        layers: defaultdict[int, list[tuple[Edge, int]]] = defaultdict(list)
        for edge, number in alike:
            if edge.source is None:
                layers[edge.layer].append((edge, number))
        for layer, removed in layers.items():
            allowed = self.recording.layers[layer].allowed
            key = ("queries", id(allowed), *(number for _, number in removed))
            if key not in self._passed:
                check_queries(layer, [e for e, _ in removed], allowed, self.recording.head_count)
                self._passed.add(key)


def anywhere(edge: Edge) -> Edge:
    """An edge without its layer: what it is in every layer that it names."""
    return replace(edge, layer=0)


def check_keys(edge: Edge, count: int) -> None:
    """Every key of an edge must be one of a layer's.

    Raises:
        InterventionError: one lies behind them.
    """
    if edge.keys[-1] >= count:
        raise InterventionError(
            f"Knockout names key {edge.keys[-1]} in layer {edge.layer}, which has keys "
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
                f"Knockout finds no edge at {kind} position(s) {idle[:5]}: the model does not "
                "attend there anyway (a key after its query, or outside a sliding window). "
                "Leave these positions out."
            )


def check_queries(
    layer: int,
    removed: list[Edge],
    allowed: Bool[Tensor, "positions keys"],
    heads: int,
    start: int = 0,
) -> None:
    """Every query must keep a key that it can read; the mask's queries count from `start`.

    Raises:
        InterventionError: one would have none.
    """
    queries = sorted({query for edge in removed for query in edge.queries})
    per_head = any(edge.heads is not None for edge in removed)
    shape = (heads if per_head else 1, *allowed.shape)
    rows = torch.zeros(shape, dtype=torch.bool, device="cpu")
    for edge in removed:
        remove_edge(rows, edge, start)
    there = [query - start for query in queries]
    left = (allowed[there].cpu() & ~rows[:, there]).any(-1)
    empty = torch.nonzero(~left)
    if len(empty):
        raise InterventionError(
            f"Knockout leaves query position {queries[int(empty[0, -1])]} of layer {layer} "
            "without any key to read, which no model is made for; keep at least one key, such "
            "as the first."
        )
