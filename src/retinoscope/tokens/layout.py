"""Where the visual tokens of images and videos stand in the language model's sequence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from retinoscope.brief import runs
from retinoscope.errors import TokenMapError
from retinoscope.geometry import PatchGrid
from retinoscope.tokens.medium import Medium, OfImage, OfVideo

FIRST = OfImage(0)
"""Of a prompt with one image, that one."""


@dataclass(frozen=True)
class VisualSpan:
    """The visual tokens of one image, or of frames of a video that share tokens.

    `positions[i]` of the sequence holds cell i of the grid.

    Attributes:
        positions: positions in the sequence, ascending, one for each cell.
        grid: the cells of the image or of each of the frames, in token order.
        medium: what the tokens are of.

    Raises:
        TokenMapError: the numbers of positions and cells differ.
    """

    positions: tuple[int, ...]
    grid: PatchGrid
    medium: Medium = FIRST

    def __post_init__(self) -> None:
        if len(self.positions) != len(self.grid):
            raise TokenMapError(
                f"The sequence holds {len(self.positions)} visual tokens but the image's grid has "
                f"{len(self.grid)} cells; the processor laid the image out in another way than "
                "its family's geometry says."
            )

    def __repr__(self) -> str:
        width, height = self.grid.size
        count = len(self.positions)
        return f"VisualSpan({count} tokens of {self.medium}, {width} x {height} pixels)"


@dataclass(frozen=True)
class TokenLayout:
    """One prompt's sequence: its length and the spans of its images and videos.

    Attributes:
        length: number of positions the language model sees.
        spans: one for each image, and one for each frame of a video (or for frames that share
            tokens), in their order in the prompt.

    Raises:
        TokenMapError: positions lie outside the sequence or in two spans, or two spans are of one
            image or frame.
    """

    length: int
    spans: tuple[VisualSpan, ...]

    def __post_init__(self) -> None:
        taken = [position for span in self.spans for position in span.positions]
        if len(set(taken)) != len(taken) or any(not 0 <= p < self.length for p in taken):
            raise TokenMapError(
                f"Visual positions must be distinct and lie in 0..{self.length - 1}; got "
                f"{len(taken)} positions, {len(set(taken))} distinct, up to {max(taken)}."
            )
        shown = [one for span in self.spans for one in _shown(span.medium)]
        if len(set(shown)) != len(shown):
            raise TokenMapError(
                f"Each image and frame has one span; got {', '.join(map(str, shown))}. Number them "
                "by VisualSpan(..., medium=OfImage(1))."
            )

    def __repr__(self) -> str:
        return f"TokenLayout({self.length} positions, visual {runs(self.visual)})"

    @cached_property
    def visual(self) -> tuple[int, ...]:
        """Positions of all visual tokens, ascending."""
        return tuple(sorted(position for span in self.spans for position in span.positions))

    @cached_property
    def text(self) -> tuple[int, ...]:
        """Positions that hold no visual token (text, separators, row breaks), ascending."""
        visual = set(self.visual)
        return tuple(p for p in range(self.length) if p not in visual)

    @property
    def last(self) -> int:
        """The last position: the one that predicts the first token of the answer."""
        return self.length - 1

    @cached_property
    def neighbours(self) -> dict[int, tuple[int, ...]]:
        """For each visual position, the up to eight that touch its cell, in its frame and level."""
        return {
            position: near
            for span in self.spans
            for position, near in _neighbours(span.positions, span.grid.cells).items()
        }


def _shown(medium: Medium) -> list[Medium]:
    """An image, or each frame by itself."""
    match medium:
        case OfVideo(video, frames):
            return [OfVideo(video, (frame,)) for frame in frames]
        case image:
            return [image]


def _neighbours(
    positions: tuple[int, ...], cells: Int[np.ndarray, "cells 3"]
) -> dict[int, tuple[int, ...]]:
    at = {tuple(cell): position for cell, position in zip(cells.tolist(), positions, strict=True)}
    steps = [(dr, dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1) if (dr, dc) != (0, 0)]
    return {
        position: tuple(
            at[level, row + dr, column + dc]
            for dr, dc in steps
            if (level, row + dr, column + dc) in at
        )
        for (level, row, column), position in at.items()
    }
