"""The two things an intervention can do to a forward pass, as data: write a site, edit an edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import index
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.interventions.site import Site
from retinoscope.tokens import Chosen, TokenLayout, as_positions

Change = Callable[[Tensor], Tensor]
"""A pure function of a site's current state at the written positions, [positions, ...]."""


@dataclass(frozen=True, eq=False)
class Write:
    """Vectors written into (or added to) a site.

    Attributes:
        site: where; what it holds at each position is said in `retinoscope.interventions.site`.
        positions: positions of the prompt, ascending; of `attn_scores` and `attn_probs` the
            queries, of `key` and `value` the keys.
        value: one state for each position, or a pure function of the states that stand there,
            which is called once for each run and must not look at anything else.
        add: add to what stands there instead of replacing it.
    """

    site: Site
    positions: tuple[int, ...]
    value: Float[Tensor, "positions *state"] | Change
    add: bool = False

    __repr__ = brief_fields


@dataclass(frozen=True, eq=False)
class Source:
    """Keys and values that stand in the place of a layer's own, for the queries of an edge.

    Attributes:
        keys: after position embedding, one for each group of heads and each key of the edge.
        values: likewise.
    """

    keys: Float[Tensor, "groups keys width"]
    values: Float[Tensor, "groups keys width_of_values"]

    __repr__ = brief_fields


@dataclass(frozen=True, eq=False)
class Edge:
    """Attention from queries to keys in one decoder layer: removed, or patched from another source.

    Two are equal where they are of one class and all they hold is equal (tensors and sources: the
    same object), also what a subclass adds: equal edges are carried out once for all conditions
    that hold them.

    Attributes:
        layer: the decoder layer, from 0.
        queries: positions that read, ascending.
        keys: positions that are read, ascending.
        heads: the attention heads concerned; None is all.
        source: what the queries read in the keys' place (a patched path); None removes the edge, so
            that nothing is read (a knockout).
    """

    layer: int
    queries: tuple[int, ...]
    keys: tuple[int, ...]
    heads: tuple[int, ...] | None = None
    source: Source | None = None

    __repr__ = brief_fields

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return False
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return all(a is b or (not isinstance(a, Tensor) and a == b) for a, b in pairs)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))


Edits = tuple[Write | Edge, ...]
"""All that one condition does, in this order; writes of one site are carried out one after another.
What `check_edits` refuses, no engine takes."""


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

    def state_shape(self, site: Site) -> tuple[int, ...]:
        """What a site holds at one position, such as (width,) or (heads, keys).

        Raises:
            InterventionError: the model has no such site; the message says why.
        """
        ...


def place_site(place: int, context: Context) -> Site:
    """The site of a place of the residual stream.

    Args:
        place: 0 is the input of the first decoder layer, n the output of the n-th.
        context: for the number of layers.
    """
    if place == context.layer_count:
        return Site("resid_post", place - 1)
    return Site("resid_pre", place)


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
    several = isinstance(values, Iterable) and getattr(values, "ndim", 1) > 0
    given: list[Any] = list(values) if several else [values]  # pyright: ignore
    if set(map(type, given)) == {int}:
        return given
    found: list[int] = []
    for value in given:
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


def checked_heads(heads: int | Iterable[int], context: Context, what: str) -> tuple[int, ...]:
    """Query heads in ascending order, each once.

    Raises:
        InterventionError: none are given, or one is not in the model.
    """
    chosen = tuple(sorted(set(whole_numbers(heads, f"{what} (heads)"))))
    if not chosen or chosen[0] < 0 or chosen[-1] >= context.head_count:
        raise InterventionError(
            f"{what} was given heads {list(chosen)}; give at least one of "
            f"0..{context.head_count - 1}, or None for all."
        )
    return chosen
