"""Scores of tokens: attention rollout and integrated gradients, as pictures and data frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float
from torch import Tensor

from retinoscope.api.words import Word, checked_count
from retinoscope.brief import brief_fields
from retinoscope.errors import SelectionError
from retinoscope.geometry import UnplacedGrid
from retinoscope.tokens import TokenLayout, TokenSet, at

_PLACE = ("patch", "level", "row", "column", "left", "top", "right", "bottom")


@dataclass(frozen=True, eq=False)
class Scores:
    """One score for each of some tokens.

    Attributes:
        tokens: whose.
        values: float32 on the CPU, in ascending order of position.
        name: what they are.
    """

    tokens: TokenSet
    values: Float[Tensor, " tokens"]
    name: str

    __repr__ = brief_fields

    def top(self, count: int) -> TokenSet:
        """The tokens with the highest scores.

        Raises:
            SelectionError: there are fewer tokens.
        """
        best = self.values.topk(checked_count(count, len(self.tokens))).indices.tolist()
        ordered = sorted(self.tokens)
        return at(self.tokens.layout, [ordered[index] for index in best])

    def frame(self) -> pl.DataFrame:
        """A row for each token, by position; `.to_pandas()` makes a pandas frame of it.

        Columns: position; patch (the index among the visual tokens), its level, row and column,
        and its left, top, right and bottom edge in the image's pixels, null where a token has no
        place in an image; and the score.
        """
        places = _places(self.tokens.layout)
        none = (None,) * len(_PLACE)
        values = zip(sorted(self.tokens), self._columns(), strict=True)
        rows = [(position, *places.get(position, none), *value) for position, value in values]
        columns = ["position", *_PLACE, *self._names()]
        return pl.DataFrame(rows, columns, orient="row", infer_schema_length=None)

    def grid(self, level: int = 0) -> Float[np.ndarray, "rows columns"]:
        """The scores as a picture of the first image's patches; NaN where a patch has none.

        Args:
            level: which resolution, where a model sees the image in several.

        Raises:
            SelectionError: there is no such level.
            TokenMapError: the tokens have no place in the image.
        """
        span = self.tokens.layout.spans[0]
        own = span.grid.cells[span.grid.cells[:, 0] == level]
        if not len(own):
            raise SelectionError(f"The image has no patches of level {level}.")
        found = np.full(own[:, 1:].max(0) + 1, np.nan)
        known = dict(zip(sorted(self.tokens), self.values.tolist(), strict=True))
        for position, (its, row, column) in zip(
            span.positions, span.grid.cells.tolist(), strict=True
        ):
            if its == level and position in known:
                found[row, column] = known[position]
        return found

    def _names(self) -> list[str]:
        return ["score"]

    def _columns(self) -> Sequence[tuple[float, ...]]:
        return [(value,) for value in self.values.tolist()]


@dataclass(frozen=True, eq=False)
class Attributed(Scores):
    """How much each token adds to the score of a word of the answer: integrated gradients.

    Attributes:
        tokens: whose scores.
        values: what each adds, either sign, in the unit of the target.
        name: what they are.
        word: the word that is explained, with its probability.
        magnitude: the sum over a token's dimensions of what each adds, without its sign.
        difference: the target on the clean tokens minus the target on the baseline, to which the
            scores would add up if the integral were exact.
        gap: how far they miss it, at least 0.
        converged: the gap is within the tolerance that was asked for.
    """

    word: Word
    magnitude: Float[Tensor, " tokens"]
    difference: float
    gap: float
    converged: bool

    __repr__ = brief_fields

    def _names(self) -> list[str]:
        return ["score", "magnitude"]

    def _columns(self) -> Sequence[tuple[float, ...]]:
        return list(zip(self.values.tolist(), self.magnitude.tolist(), strict=True))


def _places(layout: TokenLayout) -> dict[int, tuple[int | float | None, ...]]:
    """For each visual position its patch, level, row, column and box; unplaced ones the patch."""
    patches = {position: index for index, position in enumerate(layout.visual)}
    places: dict[int, tuple[int | float | None, ...]] = {}
    for span in layout.spans:
        if isinstance(span.grid, UnplacedGrid):
            places |= {p: (patches[p], *(None,) * (len(_PLACE) - 1)) for p in span.positions}
            continue
        each = zip(span.positions, span.grid.cells.tolist(), span.grid.boxes.tolist(), strict=True)
        places |= {position: (patches[position], *cell, *box) for position, cell, box in each}
    return places
