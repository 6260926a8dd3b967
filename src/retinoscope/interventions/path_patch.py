"""PathPatch: let chosen queries read chosen keys as they are in another run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from retinoscope.brief import brief_fields
from retinoscope.errors import InterventionError
from retinoscope.interventions.edits import (
    Context,
    Edge,
    Edits,
    Source,
    checked_heads,
    checked_layers,
    checked_positions,
)
from retinoscope.tokens import Chosen


@runtime_checkable
class Sources(Protocol):
    """Keys and values of another run or condition; `view.capture(["key", "value"])` gives them."""

    @property
    def positions(self) -> tuple[int, ...]:
        """The positions whose keys and values are held, ascending."""
        ...

    def source(self, layer: int) -> Source:
        """Those of one layer."""
        ...


@dataclass(frozen=True, eq=False)
class PathPatch:
    """Patch the paths from keys to queries: attention reads another run there, and only there.

    All other queries go on reading the keys as they are in this run, so that one path is changed
    and not the state that feeds many (path patching; Wang et al. 2023, Goldowsky-Dill et al. 2023).

    Attributes:
        queries: positions that read.
        keys: positions that are read.
        layers: decoder layers, from 0.
        source: keys and values at exactly the `keys`, such as
            `other.capture(["key", "value"], layers=layers, positions=keys)` of another view, or of
            this one under interventions.
        heads: query heads, from 0; None is all of them.

    Raises (when it is applied):
        InterventionError: as a Knockout; or the source is of other positions or another shape.
    """

    queries: Chosen
    keys: Chosen
    layers: int | Collection[int]
    source: Sources
    heads: int | Collection[int] | None = None

    __repr__ = brief_fields

    def edits(self, context: Context) -> Edits:
        """One edge with its source for each layer."""
        queries = checked_positions(self.queries, context, "PathPatch (queries)")
        keys = checked_positions(self.keys, context, "PathPatch (keys)")
        layers = checked_layers(self.layers, context.layer_count, "PathPatch")
        heads = None if self.heads is None else checked_heads(self.heads, context, "PathPatch")
        if tuple(self.source.positions) != keys:
            raise InterventionError(
                f"PathPatch has {len(keys)} keys and a source at {len(self.source.positions)} "
                "positions; capture the source with positions=... of the same keys."
            )
        return tuple(
            Edge(layer, queries, keys, heads, self.source.source(layer)) for layer in layers
        )
