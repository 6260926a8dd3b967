"""TokenSet: a frozen set of positions with the algebra that experiments need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from retinoscope.brief import brief, runs
from retinoscope.errors import SelectionError
from retinoscope.tokens.layout import TokenLayout
from retinoscope.tokens.medium import Medium


@dataclass(frozen=True)
class TokenSet:
    """Positions of one sequence, as a set: `a | b`, `a & b`, `a - b`, `~a`, `a.dilate(1)`.

    Attributes:
        layout: the sequence.
        positions: the chosen positions.

    Raises:
        SelectionError: a position lies outside the sequence.
    """

    layout: TokenLayout
    positions: frozenset[int]

    def __post_init__(self) -> None:
        astray = sorted(p for p in self.positions if not 0 <= p < self.layout.length)
        if astray:
            raise SelectionError(
                f"Positions {astray[:5]} lie outside the sequence of {self.layout.length}; "
                f"give positions from 0 to {self.layout.length - 1}."
            )

    def __repr__(self) -> str:
        seen = len(self.positions & frozenset(self.layout.visual))
        several = len(self.layout.spans) > 1
        of = f" ({'; '.join(map(str, self.media[:4]))})" if several else ""
        kinds = [f"{seen} visual{of}"] if seen else []
        kinds += [f"{len(self) - seen} text"] if seen < len(self) else []
        what = f"{' and '.join(kinds)} token(s): {runs(self.positions)}" if kinds else "no token"
        return f"TokenSet({what}; of {self.layout.length} positions)"

    def __iter__(self) -> Iterator[int]:
        """Positions in ascending order."""
        return iter(sorted(self.positions))

    def __len__(self) -> int:
        return len(self.positions)

    def __contains__(self, position: object) -> bool:
        return position in self.positions

    def __or__(self, other: TokenSet) -> TokenSet:
        return self._with(self.positions | self._positions_of(other))

    def __and__(self, other: TokenSet) -> TokenSet:
        return self._with(self.positions & self._positions_of(other))

    def __sub__(self, other: TokenSet) -> TokenSet:
        return self._with(self.positions - self._positions_of(other))

    def __invert__(self) -> TokenSet:
        """The visual tokens that are not in this set."""
        return self._with(frozenset(self.layout.visual) - self.positions)

    @property
    def media(self) -> tuple[Medium, ...]:
        """The images and frames that the members are of, in their order in the prompt."""
        return tuple(
            span.medium
            for span in self.layout.spans
            if not self.positions.isdisjoint(span.positions)
        )

    def dilate(self, steps: int = 1) -> TokenSet:
        """Grow by `steps` patches in all eight directions: the paper's buffer.

        Cells grow inside their own image, frame and level (resolution), never beyond the grid.
        """
        if not isinstance(steps, int) or steps < 0:
            raise SelectionError(f"A buffer is 0 or more patches wide; got {steps!r}.")
        grown = self.positions
        # More steps than there are positions change nothing more.
        for _ in range(min(steps, self.layout.length)):
            near = (n for p in grown for n in self.layout.neighbours.get(p, ()))
            grown = grown | frozenset(near)
        return self._with(grown)

    def boundary(self) -> TokenSet:
        """The members that touch a visual token outside the set, or the grid's edge."""
        near = self.layout.neighbours
        return self._with(
            frozenset(
                p
                for p in self.positions
                if p in near and (len(near[p]) < 8 or not set(near[p]) <= self.positions)
            )
        )

    def draw(self, size: int, seed: int) -> TokenSet:
        """`size` members at random without replacement, the same for the same seed.

        Raises:
            SelectionError: the set has fewer than `size` members.
        """
        if type(size) is not int or not 0 <= size <= len(self):
            raise SelectionError(
                f"Can't draw {size!r} tokens from a set of {len(self)}; ask for at most "
                f"{len(self)}."
            )
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise SelectionError(f"A seed is a whole number, at least 0; got {brief(seed)}.")
        chosen = np.random.default_rng(seed).choice(sorted(self.positions), size, replace=False)
        return self._with(frozenset(int(p) for p in chosen))

    def _with(self, positions: frozenset[int]) -> TokenSet:
        return TokenSet(self.layout, positions)

    def _positions_of(self, other: TokenSet) -> frozenset[int]:
        if not isinstance(other, TokenSet):
            raise SelectionError(
                f"A token set goes together with another one; got {brief(other)} "
                f"({type(other).__name__}). Positions become a set by view.tokens.at(...), a mask "
                "by view.tokens.under(...)."
            )
        if other.layout != self.layout:
            raise SelectionError(
                "These two token sets belong to different sequences; select both from one view."
            )
        return other.positions


def at(layout: TokenLayout, positions: Iterable[int]) -> TokenSet:
    """The set of the given positions of a sequence.

    Raises:
        SelectionError: a position lies outside the sequence.
    """
    return TokenSet(layout, frozenset(positions))


def visual(layout: TokenLayout) -> TokenSet:
    """All visual tokens."""
    return at(layout, layout.visual)


def text(layout: TokenLayout) -> TokenSet:
    """All positions that hold no visual token."""
    return at(layout, layout.text)


def last(layout: TokenLayout) -> TokenSet:
    """The last position, alone."""
    return at(layout, [layout.last])
