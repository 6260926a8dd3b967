"""Words of the vocabulary with their probabilities, and what the model says next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from retinoscope.brief import brief
from retinoscope.engine import Outcome, Recording, Score
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.interventions import Condition
from retinoscope.tasks import first_tokens

if TYPE_CHECKING:
    from retinoscope.api.view import View


class Word(NamedTuple):
    """A token of the vocabulary, and how likely it is.

    Attributes:
        text: as the tokenizer writes it, with a leading space where it has one.
        probability: 0 to 1.
        token: its id.
    """

    text: str
    probability: float
    token: int


@dataclass(frozen=True, eq=False)
class Predictions(Outcome):
    """What the model says next, under each condition.

    Attributes:
        logits: float32, one row for each condition, at the last position of the prompt.
        view: the view that was asked.
        conditions: in the order of the rows.
    """

    view: View
    conditions: tuple[Condition, ...]

    def __repr__(self) -> str:
        first = [words[0] for words in self.top(1)[:4]]
        shown = ", ".join(f"{word.text!r} {word.probability:.3f}" for word in first)
        more = f", ... {len(self.conditions) - 4} more" if len(self.conditions) > 4 else ""
        return f"Predictions({len(self.conditions)} condition(s): {shown}{more})"

    def top(self, k: int = 10) -> list[list[Word]]:
        """The k likeliest next words under each condition: `top(5)[condition][rank]`.

        Raises:
            SelectionError: k is not from 1 to the size of the vocabulary.
        """
        k = checked_count(k, self.logits.shape[-1])
        found = self.probability.topk(k, dim=-1)
        texts = Texts(self.view.recording)
        return [
            [Word(texts(token), share, token) for token, share in zip(ids, shares, strict=True)]
            for ids, shares in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        ]

    def frame(self, k: int = 10) -> pl.DataFrame:
        """The k likeliest next words: condition, interventions, rank, word, probability, token.

        Conditions and ranks count from 0. `.to_pandas()` makes a pandas frame of it.
        """
        rows = [
            (index, described(condition), rank, *word)
            for index, (condition, words) in enumerate(
                zip(self.conditions, self.top(k), strict=True)
            )
            for rank, word in enumerate(words)
        ]
        columns = ["condition", "interventions", "rank", "word", "probability", "token"]
        return pl.DataFrame(rows, columns, orient="row")


class Texts:
    """Tokens as text, each decoded once."""

    def __init__(self, recording: Recording) -> None:
        self._tokenizer: Any = recording.checkpoint.tokenizer
        self._known: dict[int, str] = {}

    def __call__(self, token: int) -> str:
        """The text of one token."""
        if token not in self._known:
            self._known[token] = self._tokenizer.decode([token])
        return self._known[token]


def token_of(recording: Recording, word: str | int) -> int:
    """A token's id; of a word, that of its first token, as the answer would begin with it.

    Raises:
        SelectionError: the tokenizer can't spell the word, or the id is not in the vocabulary.
    """
    logits, tokenizer = recording.logits, recording.checkpoint.tokenizer
    if isinstance(word, int) and not isinstance(word, bool) and 0 <= word < len(logits):
        return word
    spelled = {*first_tokens(tokenizer, [word])} if isinstance(word, str) else set()
    if spelled:
        # At the beginning of an answer some tokenizers write a word without its space.
        bare = tokenizer.encode(word, add_special_tokens=False)[:1]
        spelled |= {
            i for i in bare if i != tokenizer.unk_token_id and tokenizer.decode([i]).strip()
        }
        return max(spelled, key=lambda token: float(logits[token]))
    raise SelectionError(
        f"{word!r} is not a word that the model's tokenizer can spell; give another, or a token's "
        f"id of 0..{len(logits) - 1}."
    )


def score_of(recording: Recording, of: str | int | Score) -> int | Score:
    """What a gradient is of: a token's id, or a function of the logits.

    Raises:
        SelectionError: it is neither a word, a token's id nor a function.
    """
    if isinstance(of, str | int):
        return token_of(recording, of)
    given: object = of
    if isinstance(given, type) or not callable(given):
        raise SelectionError(
            f"A gradient is of a word, a token's id, or a function of the logits; got "
            f"{brief(given)}."
        )
    return of


def checked_index(index: object, count: int, what: str) -> int:
    """The number of a layer or head.

    Raises:
        InterventionError: it is no whole number, or there is none of that number.
    """
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count:
        raise InterventionError(f"There is no {what} {brief(index)}; give one of 0..{count - 1}.")
    return index


def checked_count(k: object, most: int) -> int:
    """A number of words or tokens to show.

    Raises:
        SelectionError: it is not from 1 to the most there are.
    """
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= most:
        raise SelectionError(f"A number from 1 to {most} is needed; got {k!r}.")
    return k


def described(condition: Condition) -> str:
    """A condition in a few words."""
    return ", ".join(map(repr, condition)) or "none"
