"""Forced: the clean answer word by word, and how likely each word stays under conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from jaxtyping import Float
from torch import Tensor

from retinoscope.api.words import Texts, described
from retinoscope.brief import brief_fields
from retinoscope.engine import Recording
from retinoscope.errors import SelectionError
from retinoscope.interventions import Condition
from retinoscope.tokens import TokenLayout, word

if TYPE_CHECKING:
    from retinoscope.api.view import View


@dataclass(frozen=True, eq=False)
class Forced:
    """How likely each token of the clean answer is under each condition (teacher forcing).

    Each is predicted behind the clean answer so far, not behind what the condition would have said:
    an answer that loses its "car" keeps its "and a" before it.

    Attributes:
        view: the view that was asked.
        conditions: in the order of the rows.
        tokens: ids of the clean answer.
        log_probability: in nats, at most 0, float32 on the CPU.
    """

    view: View
    conditions: tuple[Condition, ...]
    tokens: tuple[int, ...]
    log_probability: Float[Tensor, "conditions tokens"]

    __repr__ = brief_fields

    @property
    def words(self) -> list[str]:
        """The answer's tokens as text, with a leading space where they have one."""
        texts = Texts(self.view.recording)
        return [texts(token) for token in self.tokens]

    @property
    def probability(self) -> Float[Tensor, "conditions tokens"]:
        """0 to 1."""
        return self.log_probability.exp()

    def frame(self) -> pl.DataFrame:
        """A row for each condition and token of the answer.

        Columns: condition, interventions, place, word, token, probability. Conditions and places
        count from 0.
        """
        rows = [
            (index, described(condition), place, text, token, chance)
            for index, (condition, chances) in enumerate(
                zip(self.conditions, self.probability.tolist(), strict=True)
            )
            for place, (text, token, chance) in enumerate(
                zip(self.words, self.tokens, chances, strict=True)
            )
        ]
        columns = ["condition", "interventions", "place", "word", "token", "probability"]
        return pl.DataFrame(rows, columns, orient="row")


def place_of(recording: Recording, tokens: tuple[int, ...], sought: str | int) -> int:
    """The place in an answer at which a word begins for the first time.

    Args:
        recording: for the tokenizer.
        tokens: ids of the answer.
        sought: the word, or the place itself, from 0; the answer's length is the place behind it.

    Raises:
        SelectionError: the answer does not hold the word, or has no such place.
    """
    return min(places_of(recording, tokens, sought))


def places_of(recording: Recording, tokens: tuple[int, ...], sought: str | int) -> tuple[int, ...]:
    """The places in an answer that spell a word or phrase where it stands first; see `place_of`."""
    decode = recording.checkpoint.tokenizer.decode
    if isinstance(sought, str):
        try:
            spelled = sorted(word(TokenLayout(len(tokens), ()), tokens, decode, sought))
        except SelectionError as error:
            raise SelectionError(
                f"The clean answer {decode(list(tokens))!r} does not hold {sought!r} as a whole "
                "word; give one of its words, or a place."
            ) from error
        first = min(spelled)
        return tuple(place for index, place in enumerate(spelled) if place == first + index)
    if isinstance(sought, bool) or not isinstance(sought, int) or not 0 <= sought <= len(tokens):
        raise SelectionError(f"A place in the answer is from 0 to {len(tokens)}; got {sought!r}.")
    return (sought,)
