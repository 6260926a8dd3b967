"""Blocks: rectangles of patches around objects, of equal shape, that can change places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retinoscope.errors import SelectionError
from retinoscope.tokens import TokenLayout, TokenSet


@dataclass(frozen=True)
class Block:
    """A rectangle of patches.

    Attributes:
        positions: their positions in the sequence, row by row.
        rows, columns: its shape.
    """

    positions: tuple[int, ...]
    rows: int
    columns: int


class Board:
    """The patches of one image as a table of positions.

    Attributes:
        positions: [rows, columns], the position of each patch.

    Raises:
        SelectionError: the image's tokens form no single whole table (several resolutions, or no
            places at all).
    """

    def __init__(self, layout: TokenLayout) -> None:
        (span,) = layout.spans
        cells = span.grid.cells
        rows, columns = (int(cells[:, i].max()) + 1 for i in (1, 2))
        if cells[:, 0].any() or rows * columns != len(cells):
            raise SelectionError(
                "blocks change places within one table of patches; these tokens are of several "
                "resolutions"
            )
        self.positions = np.empty((rows, columns), dtype=int)
        self.positions[cells[:, 1], cells[:, 2]] = span.positions

    def extent(self, tokens: TokenSet) -> tuple[int, int, int, int]:
        """First row, first column, rows and columns of the rectangle around tokens."""
        ys, xs = np.nonzero(np.isin(self.positions, list(tokens)))
        return (
            int(ys.min()),
            int(xs.min()),
            int(ys.max() - ys.min()) + 1,
            int(xs.max() - xs.min()) + 1,
        )

    def block(self, row: int, column: int, rows: int, columns: int) -> Block:
        """A rectangle of the table."""
        part = self.positions[row : row + rows, column : column + columns]
        return Block(tuple(part.reshape(-1).tolist()), rows, columns)

    def around(self, tokens: TokenSet, rows: int, columns: int) -> Block:
        """The rectangle of a shape that is centred on tokens, as far as the image's edge allows."""
        top, left, height, width = self.extent(tokens)
        most_down, most_right = self.positions.shape
        return self.block(
            min(max(top - (rows - height) // 2, 0), most_down - rows),
            min(max(left - (columns - width) // 2, 0), most_right - columns),
            *(rows, columns),
        )

    def free(self, taken: TokenSet, rows: int, columns: int) -> list[Block]:
        """Every rectangle of a shape that holds none of the tokens that are taken."""
        full = np.isin(self.positions, list(taken))
        height, width = self.positions.shape
        return [
            self.block(row, column, rows, columns)
            for row in range(height - rows + 1)
            for column in range(width - columns + 1)
            if not full[row : row + rows, column : column + columns].any()
        ]


def equal_blocks(
    board: Board, one: TokenSet, other: TokenSet, others: TokenSet
) -> tuple[Block, Block]:
    """Blocks of equal shape around two objects.

    Args:
        board: the image's patches.
        one: an object's tokens.
        other: the other object's.
        others: those of the image's further objects.

    Raises:
        SelectionError: the blocks overlap, or a third object lies in one.
    """
    shapes = [board.extent(tokens)[2:] for tokens in (one, other)]
    rows, columns = (max(shape[i] for shape in shapes) for i in (0, 1))
    first, second = (board.around(tokens, rows, columns) for tokens in (one, other))
    inside = {*first.positions, *second.positions}
    if len(inside) < len(first.positions) + len(second.positions):
        raise SelectionError("the two objects' blocks of patches overlap")
    if inside & others.positions:
        raise SelectionError("a third object lies in a block of patches")
    return first, second
