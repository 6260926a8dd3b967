"""Patch: write vectors into the residual stream at any layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.interventions.ablate import as_vectors, fitted
from retinoscope.interventions.edits import (
    Context,
    Edits,
    Write,
    checked_layers,
    checked_positions,
    place_site,
)
from retinoscope.tokens import Chosen


@dataclass(frozen=True, eq=False)
class Patch:
    """Replace the residual stream at a place, for example with another run's (activation patching).

    Attributes:
        tokens: where to write: a TokenSet, positions or a mask.
        layer: the place: 0 is the input of the first decoder layer, n the output of the n-th.
        value: [width] for all positions, or [positions, width] in ascending order of position.

    Raises (when it is applied):
        InterventionError: no token, a position or layer outside the model, or vectors that don't
            fit.
    """

    tokens: Chosen
    layer: int
    value: Tensor | np.ndarray

    __repr__ = brief_fields

    def edits(self, context: Context) -> Edits:
        """One write."""
        value = as_vectors(self.value, "Patch")
        return written(self.tokens, self.layer, value, context, add=False)


def written(tokens: Chosen, layer: int, value: Tensor, context: Context, *, add: bool) -> Edits:
    """One write at a place, checked against the model and the sequence."""
    what = "Steer" if add else "Patch"
    positions = checked_positions(tokens, context, what)
    (layer,) = checked_layers([layer], context.layer_count + 1, what)
    clean = context.residual(layer)[list(positions)]
    return (Write(place_site(layer, context), positions, fitted(value, clean, what), add),)
