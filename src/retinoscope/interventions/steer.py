"""Steer: add a direction to the residual stream at any layer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

from retinoscope.interventions.patch import written
from retinoscope.interventions.sites import Context, Sites


@dataclass(frozen=True, eq=False)
class Steer:
    """Add vectors to the residual stream at a place.

    Attributes:
        tokens: the positions to add to.
        layer: the place: 0 is the input of the first decoder layer, n the output of the n-th.
        direction: [width] for all positions, or [positions, width] in ascending order.
        scale: the direction is multiplied by this.

    Raises (when it is applied):
        InterventionError: no token, a position or layer outside the model, or vectors that don't
            fit.
    """

    tokens: Collection[int]
    layer: int
    direction: Tensor
    scale: float = 1.0

    def sites(self, context: Context) -> Sites:
        """One additive write."""
        return written(self.tokens, self.layer, self.direction * self.scale, context, add=True)
