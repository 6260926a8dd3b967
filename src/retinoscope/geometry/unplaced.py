"""Visual tokens without a place: models whose tokens belong to no part of the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import numpy as np
from jaxtyping import Float, Int

from retinoscope.errors import TokenMapError
from retinoscope.geometry.grid import PatchGrid


@dataclass(frozen=True)
class UnplacedGrid(PatchGrid):
    """Visual tokens that can be read and knocked out but that no pixel belongs to.

    A Q-Former's queries see the whole image each; a model with cross-attention has no visual token
    in its sequence at all; of an unknown model the geometry may not be known.

    Attributes:
        count: number of visual tokens.
        reason: why they have no place, as a sentence.
    """

    count: int = 0
    reason: str = ""

    def __len__(self) -> int:
        """Number of visual tokens."""
        return self.count

    @cached_property
    def boxes(self) -> Float[np.ndarray, "cells 4"]:
        """Raises TokenMapError: there are no boxes."""
        self._refuse()

    @cached_property
    def cells(self) -> Int[np.ndarray, "cells 3"]:
        """Raises TokenMapError: there are no rows and columns."""
        self._refuse()

    @cached_property
    def rows(self) -> Int[np.ndarray, " cells"]:
        """Raises TokenMapError: there are no rows."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TokenMapError(
            f"These visual tokens have no place in the image: {self.reason} Select them all, or by "
            "position, instead of by pixels, rows or neighbours."
        )
