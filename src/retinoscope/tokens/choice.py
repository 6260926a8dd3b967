"""What people give where tokens are asked for, as positions of a sequence."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any, TypeAlias

import numpy as np

from retinoscope.errors import SelectionError
from retinoscope.tokens.layout import TokenLayout
from retinoscope.tokens.masks import as_array
from retinoscope.tokens.placed import under
from retinoscope.tokens.tokenset import TokenSet

Chosen: TypeAlias = Any
"""Tokens as `as_positions` takes them."""


def as_positions(layout: TokenLayout, chosen: Chosen) -> list[int]:
    """Positions of a sequence, from whatever names them; in the order given.

    Args:
        layout: the sequence.
        chosen: a TokenSet, `view.tokens`, one position, an iterable of positions, an array or
            tensor of them; or a mask (boolean): of the sequence, [length], or of the only image's
            pixels, [height, width] (of a video's, [frames, height, width]), which stands for the
            visual tokens under it.

    Raises:
        SelectionError: it is none of these; a token set of another sequence whose positions mean
            something else here; or a mask of another size.
    """
    if isinstance(chosen, TokenSet):
        return _of_set(layout, chosen)
    if isinstance(chosen, str | bytes) or chosen is None:
        raise _unknown(chosen)
    if hasattr(chosen, "dtype") and hasattr(chosen, "shape"):
        return _of_array(layout, as_array(chosen))
    if isinstance(chosen, Iterable):
        # `view.tokens` iterates over positions too, and knows its sequence.
        whole = getattr(chosen, "visual", None)
        if isinstance(whole, TokenSet):
            return _of_set(layout, whole)
        given = list(chosen)
        if set(map(type, given)) == {int}:
            return given
        if given and all(isinstance(one, bool | np.bool_) for one in given):
            return _of_array(layout, np.array(given, dtype=bool))
        return [_position(one) for one in given]
    return [_position(chosen)]


def _of_set(layout: TokenLayout, chosen: TokenSet) -> list[int]:
    other = chosen.layout
    if other is layout or other == layout:
        return sorted(chosen.positions)
    # Prompts with the same images in the same places share their visual tokens; text may differ.
    if other.spans != layout.spans or not chosen.positions <= set(layout.visual):
        raise SelectionError(
            f"{chosen} belongs to another prompt, where these positions mean something else; "
            "select from the view that is asked."
        )
    return sorted(chosen.positions)


def _of_array(layout: TokenLayout, array: np.ndarray) -> list[int]:
    if array.dtype == bool and array.ndim == 1:
        if len(array) != layout.length:
            raise SelectionError(
                f"A mask of the sequence has one value for each of its {layout.length} positions; "
                f"got {len(array)}."
            )
        return np.flatnonzero(array).tolist()
    if array.dtype == bool:
        return list(under(layout, array))
    if array.dtype.kind not in "iu" or array.ndim > 1:
        raise SelectionError(
            f"Positions are whole numbers in one dimension; got {array.dtype}{list(array.shape)}. "
            "A mask of the image's pixels must be boolean."
        )
    return array.reshape(-1).tolist()


def _position(value: Any) -> int:
    if isinstance(value, bool | np.bool_):
        raise SelectionError(f"A position is a whole number; got {value}.")
    try:
        return index(value)
    except TypeError:
        raise _unknown(value) from None


def _unknown(value: Any) -> SelectionError:
    return SelectionError(
        f"{str(value)[:60]!r} ({type(value).__name__}) names no tokens; give a TokenSet such as "
        "view.tokens.under(mask), positions, or a boolean mask. A mask file is read by "
        "view.tokens.under('mask.png')."
    )
