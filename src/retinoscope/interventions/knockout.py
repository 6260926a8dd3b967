"""Knockout: no attention from chosen queries to chosen keys."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from retinoscope.brief import brief_fields
from retinoscope.interventions.edits import (
    Context,
    Edge,
    Edits,
    checked_heads,
    checked_layers,
    checked_positions,
)
from retinoscope.tokens import Chosen


@dataclass(frozen=True)
class Knockout:
    """Knock out the attention edges from queries to keys in some layers (paper, section 5).

    A knocked-out edge carries exactly zero attention; the remaining weights are renormalised by the
    softmax. Every query must keep at least one key, and every key must be readable by at least
    one of the queries: in a causal model a key after all queries is an error, not a no-op.

    Attributes:
        queries: positions that must not read: a TokenSet, positions or a mask.
        keys: positions that must not be read, likewise.
        layers: decoder layers, from 0; one or several; None is all of them.
        heads: query heads, from 0, one or several; None is all of them.

    Raises (when it is applied):
        InterventionError: an empty set, a position, layer or head outside the model, an edge that
            does not exist, or a query left without any key.
    """

    queries: Chosen
    keys: Chosen
    layers: int | Collection[int] | None = None
    heads: int | Collection[int] | None = None

    __repr__ = brief_fields

    def edits(self, context: Context) -> Edits:
        """One edge for each layer."""
        queries = checked_positions(self.queries, context, "Knockout (queries)")
        keys = checked_positions(self.keys, context, "Knockout (keys)")
        every = range(context.layer_count)
        layers = (
            every if self.layers is None else checked_layers(self.layers, len(every), "Knockout")
        )
        heads = None if self.heads is None else checked_heads(self.heads, context, "Knockout")
        return tuple(Edge(layer, queries, keys, heads) for layer in layers)
