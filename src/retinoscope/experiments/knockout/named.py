"""A knockout of attention from a target to a group of tokens in some layers, with its names."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.interventions import Knockout
from retinoscope.tokens import TokenSet


@dataclass(frozen=True)
class NamedKnockout:
    """One knockout of the experiment.

    Attributes:
        group: the keys' name, such as "object+1".
        target: the queries' name, such as "last position".
        window: the layers' name, such as "mid-late" or "layer 3".
        layers: decoder layers, from 0, without a gap.
        keys: positions that are not read.
        queries: positions that do not read.
        head: the one query head concerned; -1 for all.
    """

    group: str
    target: str
    window: str
    layers: range
    keys: TokenSet
    queries: TokenSet
    head: int = -1

    @property
    def name(self) -> str:
        """The knockout in words, such as "object -> last position, mid-late"."""
        return f"{self.group} -> {self.target}, {self.window}"

    @property
    def intervention(self) -> Knockout:
        """The intervention that carries it out."""
        heads = None if self.head < 0 else (self.head,)
        return Knockout(self.queries, self.keys, self.layers, heads)
