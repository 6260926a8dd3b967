"""Tokens: the token sets of one view, chosen by mask, box, row, word or position."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from retinoscope.data import mask_image
from retinoscope.data.pixels import covered
from retinoscope.engine import Recording
from retinoscope.errors import SelectionError
from retinoscope.tokens import (
    Chosen,
    TokenSet,
    VisualSpan,
    as_positions,
    at,
    held,
    only,
    patch,
    row,
    text,
    under,
    visual,
    word,
)

Mask: TypeAlias = np.ndarray | Tensor | Image.Image | str | Path


@dataclass(frozen=True, eq=False)
class Tokens:
    """The token sets of a view, or of one of its images, videos or frames.

    By itself it stands for all its visual tokens.

    Attributes:
        recording: the view's run.
        spans: the visual tokens to choose from.
    """

    recording: Recording
    spans: Sequence[VisualSpan]

    def __repr__(self) -> str:
        layout = self.recording.layout
        count = f"{len(self)} visual and {len(layout.text)} text tokens"
        return f"Tokens({count} of {held(self.spans)}: {layout})"

    def __iter__(self) -> Iterator[int]:
        """Positions of the visual tokens, ascending."""
        return iter(self.visual)

    def __len__(self) -> int:
        return sum(len(span.positions) for span in self.spans)

    def __contains__(self, position: object) -> bool:
        return position in self.visual

    @property
    def visual(self) -> TokenSet:
        """All visual tokens."""
        return at(self.recording.layout, (p for span in self.spans for p in span.positions))

    @property
    def text(self) -> TokenSet:
        """All positions that hold no visual token."""
        return text(self.recording.layout)

    def under(
        self,
        mask: Mask | Sequence[Mask | Sequence[Mask | None] | None],
        *,
        overlap: float = 0.0,
    ) -> TokenSet:
        """Visual tokens whose patch a mask covers by more than `overlap` of the patch.

        Args:
            mask: in the image's pixels: an array or tensor, True on the object; or a picture or
                its file, where the object is what is not black. Of a video one for each frame,
                [frames, height, width] or a list; where there are several images and videos, a
                list of one for each. In a list, None is where nothing is chosen.
            overlap: share of a patch's area that must be exceeded, 0 to just under 1.

        Raises:
            SelectionError: it is no mask of this image, covers no patch, or there are several
                images and it isn't said of which it is.
            SampleError: the file can't be read.
        """
        return under(self.recording.layout, _read(mask), overlap=overlap, spans=self.spans)

    def box(self, x0: float, y0: float, x1: float, y1: float) -> TokenSet:
        """Visual tokens that a box touches: its left, top, right and bottom in the image's pixels.

        Raises:
            SelectionError: the box is empty, lies outside the image, or there are several images
                and it isn't said of which it is.
        """
        width, height = only(self.spans).grid.size
        edges = (x0, y0, x1, y1)
        inside = all(map(_is_number, edges)) and (
            max(0, x0) < min(x1, width) and max(0, y0) < min(y1, height)
        )
        if not inside:
            raise SelectionError(
                f"A box is x0, y0, x1, y1 (left, top, right, bottom) in the pixels of the image of "
                f"{width} x {height}; got {', '.join(map(repr, edges))}."
            )
        mask = np.zeros((height, width), dtype=bool)
        mask[max(0, int(y0)) : math.ceil(y1), max(0, int(x0)) : math.ceil(x1)] = True
        return self.under(mask)

    def row(self, index: int) -> TokenSet:
        """One row of an image's visual tokens; -1 is the last.

        Raises:
            SelectionError: no such row, or there are several images and it isn't said of which.
        """
        return row(self.recording.layout, index, self.spans)

    def patch(self, row: int, column: int) -> TokenSet:
        """One patch by its row and column, from 0, as lens pages and the explorer name it.

        Raises:
            SelectionError: no such patch, or there are several images and it isn't said of which.
        """
        return patch(self.recording.layout, row, column, self.spans)

    def at(self, *positions: Chosen) -> TokenSet:
        """Positions of the sequence; also a list, tensor or mask of them."""
        layout = self.recording.layout
        return at(layout, [p for given in positions for p in as_positions(layout, given)])

    def word(self, sought: str) -> TokenSet:
        """The text tokens that spell a word of the prompt, wherever it stands, whatever its case.

        Raises:
            SelectionError: the prompt does not hold it.
        """
        ids = self.recording.encoded.inputs["input_ids"][0].tolist()
        return word(self.recording.layout, ids, self._spelled, sought)

    def _spelled(self, ids: Any) -> str:
        tokenizer = self.recording.checkpoint.tokenizer
        return tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )


def _read(mask: Any) -> Any:
    """A mask, or several, with pictures and files as arrays."""
    if isinstance(mask, str | Path):
        return mask_image(Path(mask))
    if isinstance(mask, Image.Image):
        return covered(mask)
    return [_read(one) for one in mask] if isinstance(mask, list | tuple) else mask


def chosen_tokens(recording: Recording, tokens: Chosen) -> TokenSet:
    """Whatever names tokens, as a TokenSet; None is all visual ones.

    Raises:
        SelectionError: a position lies outside the prompt, or it names no tokens.
    """
    layout = recording.layout
    return visual(layout) if tokens is None else at(layout, as_positions(layout, tokens))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)
