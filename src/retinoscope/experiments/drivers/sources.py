"""Sources: what object patches read, each left out in turn, as a condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.experiments.drivers.trials import Trial
from retinoscope.experiments.held import Edited
from retinoscope.interventions import Edge
from retinoscope.tokens import TokenSet

Keys = Callable[[int], set[int]]
"""What a query may no longer read."""


def source_trials(
    recording: Recording, tokens: TokenSet
) -> tuple[list[Trial], list[tuple[str, str]]]:
    """The object's patches without one source that their attention reads, in every layer.

    What can't be read anyway (later positions of a causal model) is no source; nor is a patch
    itself where it reads nothing else. But for the source "itself" a patch goes on reading itself.
    """
    if recording.fallback is not None:
        return [], [("sources", f"its attention can't be knocked out here: {recording.fallback}")]
    visual, own = set(recording.layout.visual), set(tokens)
    text = set(range(recording.length)) - visual
    sources: dict[str, Keys] = {
        "itself": lambda query: {query},
        "other patches": lambda query: visual - {query},
        "same object": lambda query: own - {query},
        "not the object": lambda query: visual - own,
        "text": lambda query: text,
    }
    found: list[Trial] = []
    missing: list[tuple[str, str]] = []
    for value, keys in sources.items():
        edges = _edges(recording, sorted(own), keys)
        if edges:
            found.append(Trial("source", -1, value, "object", (Edited(edges),)))
        else:
            missing.append((value, "the object's patches read none, or nothing else"))
    return found, missing


def _edges(recording: Recording, queries: Sequence[int], keys: Keys) -> tuple[Edge, ...]:
    """From each query to those of its keys that it reads."""
    length = recording.length
    known: dict[int, Mapping[tuple[int, ...], list[int]]] = {}
    edges: list[Edge] = []
    for layer, recorded in enumerate(recording.layers):
        if not isinstance(recorded.mixing, SelfAttention):
            continue
        name = id(recorded.allowed)
        if name not in known:
            known[name] = _read(recorded.allowed[:length, :length], queries, keys)
        edges += [Edge(layer, tuple(those), read) for read, those in known[name].items()]
    return tuple(edges)


def _read(allowed: Tensor, queries: Sequence[int], keys: Keys) -> dict[tuple[int, ...], list[int]]:
    """Queries by the keys that they read; a query that would read nothing at all keeps its own."""
    found: dict[tuple[int, ...], list[int]] = {}
    for query in queries:
        there = torch.nonzero(allowed[query].cpu()).flatten().tolist()
        gone = keys(query)
        read = tuple(key for key in there if key in gone)
        if read and len(read) < len(there):
            found.setdefault(read, []).append(query)
    return found
