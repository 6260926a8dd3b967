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
from retinoscope.tokens import (
    OfImage,
    OfVideo,
    TokenLayout,
    TokenSet,
    VisualSpan,
    at,
    held,
    of_image,
    of_video,
)

SEEN: tuple[str, ...] = ("patch", "image", "video", "frame")
NOT_SEEN = (None,) * len(SEEN)
"""What `media_columns` would say of text."""

_PLACE = ("level", "row", "column", "left", "top", "right", "bottom")


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

        Columns: position; patch (the index among the visual tokens); the image, or the video and
        its first frame, that it is of; its level, row and column, and its left, top, right and
        bottom edge in the image's pixels, null where a token has no place in an image; and the
        score.
        """
        layout = self.tokens.layout
        seen, places, none = media_columns(layout), _places(layout), (None,) * len(_PLACE)
        rows = [
            (position, *seen.get(position, NOT_SEEN), *places.get(position, none), *value)
            for position, value in zip(sorted(self.tokens), self._columns(), strict=True)
        ]
        columns = ["position", *SEEN, *_PLACE, *self._names()]
        whole = dict.fromkeys(SEEN, pl.Int64)
        return pl.DataFrame(
            rows, columns, orient="row", infer_schema_length=None, schema_overrides=whole
        )

    def grid(
        self,
        level: int = 0,
        *,
        image: int | None = None,
        video: int | None = None,
        frame: int | None = None,
    ) -> Float[np.ndarray, "rows columns"]:
        """The scores as a picture of an image's patches; NaN where a patch has none.

        Args:
            level: which resolution, where a model sees the image in several.
            image: which image, where there are several.
            video: which video.
            frame: which frame of it.

        Raises:
            SelectionError: there is no such level, image or frame, or there are several and it
                isn't said which.
            TokenMapError: the tokens have no place in the image.
        """
        span = self._span(image, video, frame)
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

    def _span(self, image: int | None, video: int | None, frame: int | None) -> VisualSpan:
        layout = self.tokens.layout
        match image, video, frame:
            case None, None, None:
                spans = layout.spans
            case int(), None, None:
                spans = of_image(layout, image)
            case None, int(), _:
                spans = of_video(layout, video, frame)
            case _:
                spans = ()
        if len(spans) != 1:
            raise SelectionError(
                f"The prompt holds {held(layout.spans)}: say which one the picture is of, such as "
                "grid(image=1) or grid(video=0, frame=2)."
            )
        return spans[0]

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


def media_columns(layout: TokenLayout) -> dict[int, tuple[int | None, ...]]:
    """For each visual position its patch, and its image, or its video and first frame."""
    patches = {position: index for index, position in enumerate(layout.visual)}
    found: dict[int, tuple[int | None, ...]] = {}
    for span in layout.spans:
        match span.medium:
            case OfImage(image):
                of = (image, None, None)
            case OfVideo(video, frames):
                of = (None, video, frames[0])
        found |= {position: (patches[position], *of) for position in span.positions}
    return found


def _places(layout: TokenLayout) -> dict[int, tuple[float, ...]]:
    """For each visual position its level, row, column and box, where it has a place."""
    places: dict[int, tuple[float, ...]] = {}
    for span in layout.spans:
        if not isinstance(span.grid, UnplacedGrid):
            each = zip(
                span.positions, span.grid.cells.tolist(), span.grid.boxes.tolist(), strict=True
            )
            places |= {position: (*cell, *box) for position, cell, box in each}
    return places
