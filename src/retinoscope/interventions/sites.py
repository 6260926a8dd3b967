"""The two things an intervention can do to a forward pass, as data: write and block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import index
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.tokens import Chosen, TokenLayout, as_positions


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

    __repr__ = brief_fields


@dataclass(frozen=True, eq=False)
class Block:
    """Attention edges that carry nothing in one decoder layer.

    Two are equal where they are of one class and all they hold is equal, also what a subclass
    adds: equal blocks are carried out once for all conditions that hold them.

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

    __repr__ = brief_fields

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))


@dataclass(frozen=True)
class Sites:
    """Everything one condition touches; what `check_sites` refuses, no engine takes.

    Attributes:
        writes: applied in this order, each before the layer it names runs.
        blocks: in force together.
    """

    writes: tuple[Write, ...] = ()
    blocks: tuple[Block, ...] = ()

    __repr__ = brief_fields


def joined(parts: Iterable[Sites]) -> Sites:
    """Everything that any of the parts touches, in their order."""
    each = list(parts)
    kinds = [tuple(e for part in each for e in getattr(part, f.name)) for f in fields(Sites)]
    return Sites(*kinds)


@runtime_checkable
class Context(Protocol):
    """What an intervention may ask of the clean run that it is applied to."""

    @property
    def length(self) -> int:
        """Number of positions."""
        ...

    @property
    def layout(self) -> TokenLayout:
        """Which positions are visual."""
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


def checked_positions(tokens: Chosen, context: Context, what: str) -> tuple[int, ...]:
    """Positions in ascending order, from whatever names tokens; see `tokens.as_positions`.

    Raises:
        InterventionError: none are given, or one lies outside the sequence.
    """
    try:
        positions = tuple(sorted(as_positions(context.layout, tokens)))
    except SelectionError as error:
        raise InterventionError(f"{what}: {error}") from error
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


def whole_numbers(values: object, what: str) -> list[int]:
    """Plain integers, one alone or several, also of NumPy's and PyTorch's.

    Raises:
        InterventionError: one is no whole number, or a truth value (of a mask, not a position).
    """
    found: list[int] = []
    several = isinstance(values, Iterable) and getattr(values, "ndim", 1) > 0
    for value in values if several else [values]:  # pyright: ignore
        truth = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
        try:
            if truth:
                raise TypeError("a truth value")
            found.append(index(value))  # pyright: ignore[reportArgumentType]
        except TypeError as error:
            raise InterventionError(
                f"{what} was given {value!r} where a whole number belongs; give layers and heads "
                "as integers, one or several."
            ) from error
    return found


def checked_layers(layers: int | Iterable[int], count: int, what: str) -> tuple[int, ...]:
    """Layers in ascending order, each once.

    Raises:
        InterventionError: none are given, or one is not in 0..count-1.
    """
    chosen = tuple(sorted(set(whole_numbers(layers, what))))
    if not chosen or chosen[0] < 0 or chosen[-1] >= count:
        raise InterventionError(
            f"{what} was given layers {list(chosen)}; give at least one of 0..{count - 1}."
        )
    return chosen
