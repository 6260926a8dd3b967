"""Quadrature: Simpson's rule on pieces of a path that are halved where the rule misses most.

The derivative's integral over each piece is known beforehand, as the difference of the function at
its ends, so that every piece tells how far its own sum is off. Pieces are halved exactly in
binary, and halves take over the points of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Piece = tuple[float, float]
"""Where a piece of the path begins and ends, in 0 to 1."""

FIRST: tuple[Piece, ...] = ((0.0, 0.5), (0.5, 1.0))
"""The pieces to begin with: one piece's three points can miss a bend between them altogether."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What is at one point of the path.

    Attributes:
        score: the function whose gain is shared out.
        slope: its derivative along the path.
        gradient: its derivative by every token, on the CPU.
    """

    score: float
    slope: float
    gradient: Float[Tensor, "tokens width"]


def points(pieces: Sequence[Piece]) -> list[float]:
    """Every point that the rule takes on some pieces, ascending."""
    return sorted({point for piece in pieces for point in _rule(piece)})


def integral(pieces: Sequence[Piece], seen: Mapping[float, Seen]) -> Float[Tensor, "tokens width"]:
    """The gradient's integral over all pieces, float32 on the CPU."""
    weights = dict.fromkeys(points(pieces), 0.0)
    for piece in pieces:
        for point, weight in _rule(piece).items():
            weights[point] += weight
    total = torch.zeros(seen[pieces[0][0]].gradient.shape)
    for point, weight in weights.items():
        total += weight * seen[point].gradient.float()
    return total


def gap(piece: Piece, seen: Mapping[float, Seen]) -> float:
    """How far the rule misses what the score gains on one piece, at least 0."""
    start, end = piece
    summed = sum(weight * seen[point].slope for point, weight in _rule(piece).items())
    return abs(seen[end].score - seen[start].score - summed)


def refined(gaps: Mapping[Piece, float], allowed: float, most: int) -> list[Piece]:
    """The pieces with those halved without which the gaps can't fall under what is allowed.

    Args:
        gaps: of every piece.
        allowed: for their sum.
        most: pieces that may be halved.

    Returns:
        The next pieces, in any order; as many as before if there is nothing to halve.
    """
    left, found = sum(gaps.values()), list[Piece]()
    for rank, piece in enumerate(sorted(gaps, key=lambda piece: -gaps[piece])):
        if rank < most and left > allowed:
            (start, end), left = piece, left - gaps[piece]
            found += [(start, (start + end) / 2), ((start + end) / 2, end)]
        else:
            found.append(piece)
    return found


def _rule(piece: Piece) -> dict[float, float]:
    """Points and weights on one piece: three Gauss-Lobatto points, exact up to degree 3."""
    start, end = piece
    sixth = (end - start) / 6
    return {start: sixth, (start + end) / 2: 4 * sixth, end: sixth}
