"""What sweeps between two views ask of them: the pair, named positions, words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retinoscope.api.view import View
from retinoscope.api.words import token_of
from retinoscope.brief import brief
from retinoscope.errors import SelectionError
from retinoscope.interventions.edits import checked_positions
from retinoscope.patching import Pair, pair
from retinoscope.tokens import Chosen

Groups = Mapping[str, Chosen]
"""Positions by name: token sets, positions or masks of the clean view."""


def paired(clean: View, corrupt: View, right: str | int | None, wrong: str | int | None) -> Pair:
    """The two runs beside each other, words as tokens.

    Raises:
        SelectionError: one is no view, a word can't be spelled, or as `retinoscope.patching.pair`.
    """
    for view in (clean, corrupt):
        if not isinstance(view, View):
            raise SelectionError(
                f"{brief(view)} ({type(view).__name__}) is not a view; give what vlm.look returned."
            )
    one, other = (
        None if word is None else token_of(clean.recording, word) for word in (right, wrong)
    )
    return pair(clean.recording, corrupt.recording, one, other)


def named_positions(view: View, groups: Groups | None) -> dict[str, tuple[int, ...]]:
    """Positions by name, ascending."""
    recording, layout = view.recording, view.recording.layout
    if groups is None:
        behind = [p for p in layout.text if layout.visual and p > layout.visual[0]]
        text = behind or list(layout.text)
        groups = {"image": layout.visual, "text": [p for p in text if p != layout.last]}
        groups = {name: some for name, some in groups.items() if some} | {"last": view.last}
    if not isinstance(groups, Mapping) or not groups:
        raise SelectionError(
            f"Groups are positions by name, such as {{'dog': dog, 'last': view.last}}; got "
            f"{brief(groups)}."
        )
    return {
        str(name): checked_positions(some, recording, f"The group {name!r}")
        for name, some in groups.items()
    }


def several(what: str, given: Any, known: Sequence[Any]) -> tuple[Any, ...]:
    """One or several known names, each once."""
    names = (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))
    if not names or not set(names) <= set(known):
        raise SelectionError(
            f"{given!r} is not a {what}; give one or several of {', '.join(known)}."
        )
    return names


def spelled(view: View, runs: Pair) -> tuple[str, str]:
    """The right and the wrong token as text."""
    decode = view.recording.checkpoint.tokenizer.decode
    return decode([runs.right]), decode([runs.wrong])
