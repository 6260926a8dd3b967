"""The two things an intervention can do to a forward pass, as data: write and block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from retinoscope.errors import InterventionError


@dataclass(frozen=True, eq=False)
class Write:
    """Vectors written into (or added to) the residual stream.

    Attributes:
        layer: the stream's place: 0 is the input of the first decoder layer, n the output of the
            n-th layer, so the number of layers is the place just before the final norm.
        positions: where, ascending.
        values: one vector for each position.
        add: add to what stands there instead of replacing it.
    """

    layer: int
    positions: tuple[int, ...]
    values: Float[Tensor, "positions width"]
    add: bool = False


@dataclass(frozen=True)
class Block:
    """Attention edges that carry nothing in one decoder layer.

    Attributes:
        layer: the decoder layer, from 0.
        queries: positions that must not read, ascending.
        keys: positions that must not be read, ascending.
        heads: the attention heads concerned; None is all.
    """

    layer: int
    queries: tuple[int, ...]
    keys: tuple[int, ...]
    heads: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Sites:
    """Everything one condition touches.

    Attributes:
        writes: applied in this order, each before the layer it names runs.
        blocks: in force together.
    """

    writes: tuple[Write, ...] = ()
    blocks: tuple[Block, ...] = ()


@runtime_checkable
class Context(Protocol):
    """What an intervention may ask of the clean run that it is applied to."""

    @property
    def length(self) -> int:
        """Number of positions."""
        ...

    @property
    def layer_count(self) -> int:
        """Number of decoder layers."""
        ...

    @property
    def head_count(self) -> int:
        """Number of query heads in each layer."""
        ...

    @property
    def mean_token(self) -> Float[Tensor, "*length width"] | None:
        """The mean visual token of a large image set, if it is known.

        One vector for all positions, or one for each position of the sequence.
        """
        ...

    def residual(self, layer: int) -> Float[Tensor, "positions width"]:
        """The clean residual stream at a place (0 to layer_count), raw, before any final norm."""
        ...


def checked_positions(tokens: Iterable[int], context: Context, what: str) -> tuple[int, ...]:
    """Positions in ascending order.

    Raises:
        InterventionError: none are given, or one lies outside the sequence.
    """
    positions = tuple(sorted(tokens))
    if not positions:
        raise InterventionError(
            f"{what} was given an empty set of tokens, so it would change nothing; select at "
            "least one position."
        )
    if positions[0] < 0 or positions[-1] >= context.length:
        raise InterventionError(
            f"{what} was given positions {positions[0]}..{positions[-1]} but the sequence has "
            f"positions 0..{context.length - 1}."
        )
    if len(set(positions)) != len(positions):
        raise InterventionError(f"{what} was given a position twice; give each position once.")
    return positions


def checked_layers(layers: Iterable[int], count: int, what: str) -> tuple[int, ...]:
    """Layers in ascending order, each once.

    Raises:
        InterventionError: none are given, or one is not in 0..count-1.
    """
    chosen = tuple(sorted(set(layers)))
    if not chosen or chosen[0] < 0 or chosen[-1] >= count:
        raise InterventionError(
            f"{what} was given layers {list(chosen)}; give at least one of 0..{count - 1}."
        )
    return chosen
