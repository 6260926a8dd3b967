"""Steer: add a direction to the residual stream at any layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from retinoscope.brief import brief, brief_fields
from retinoscope.errors import InterventionError
from retinoscope.interventions.ablate import as_vectors
from retinoscope.interventions.edits import Context, Edits
from retinoscope.interventions.patch import written
from retinoscope.tokens import Chosen


@dataclass(frozen=True, eq=False)
class Steer:
    """Add vectors to the residual stream at a place.

    Attributes:
        tokens: where to add: a TokenSet, positions or a mask.
        layer: the place: 0 is the input of the first decoder layer, n the output of the n-th.
        direction: [width] for all positions, or [positions, width] in ascending order.
        scale: the direction is multiplied by this.

    Raises (when it is applied):
        InterventionError: no token, a position or layer outside the model, vectors that don't
            fit, or a scale that is no finite number.
    """

    tokens: Chosen
    layer: int
    direction: Tensor | np.ndarray
    scale: float = 1.0

    __repr__ = brief_fields

    def edits(self, context: Context) -> Edits:
        """One additive write."""
        if not isinstance(self.scale, int | float) or not math.isfinite(self.scale):
            raise InterventionError(f"Steer got scale={brief(self.scale)}; give a finite number.")
        direction = as_vectors(self.direction, "Steer") * float(self.scale)
        return written(self.tokens, self.layer, direction, context, add=True)
