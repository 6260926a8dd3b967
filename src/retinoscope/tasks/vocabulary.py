"""From words to the tokens of a model's vocabulary, and back."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from retinoscope.errors import DataError


def first_tokens(tokenizer: Any, words: Iterable[str]) -> tuple[int, ...]:
    """Ids of the token that each word begins with inside a sentence, ascending.

    A word is spelled as it stands after a space ("It is a dog"); where the tokenizer keeps a
    lone word-start mark (SentencePiece's "▁") that piece is passed over. A word that begins with
    what the vocabulary does not hold has no such token.
    """
    return tuple(
        sorted({first for word in words if (first := _first(tokenizer, word)) is not None})
    )


def _first(tokenizer: Any, word: str) -> int | None:
    anchor = tokenizer.encode("a", add_special_tokens=False)
    ids = tokenizer.encode(f"a {word}", add_special_tokens=False)[len(anchor) :]
    seen = [i for i in ids if tokenizer.decode([i]).strip()]
    return seen[0] if seen and seen[0] != tokenizer.unk_token_id else None


def check_spelled(tokenizer: Any, class_name: str) -> None:
    """Make sure that a model can say a name.

    Raises:
        DataError: a part of it is not in the vocabulary, so that no answer could hold it.
    """
    ids = tokenizer.encode(f"a {class_name}", add_special_tokens=False)
    if tokenizer.unk_token_id in ids or not first_tokens(tokenizer, [class_name]):
        raise DataError(
            f"The model's tokenizer can't spell {class_name!r}, so the model can never name it; "
            "give the object a name that is in its vocabulary."
        )


def piece_tokens(tokenizer: Any, words: Iterable[str], *, shortest: int = 3) -> tuple[int, ...]:
    """Ids of every token that is one of the words or begins it, whatever its case, ascending.

    A piece must have `shortest` letters (or be the whole word) so that a lone "d" is not taken
    for "dog"; an empty piece begins nothing. The paper's code tests the prefix the other way
    round and counts an empty answer as right.

    Args:
        tokenizer: the model's tokenizer.
        words: the words to begin.
        shortest: fewest letters of a piece that is not a whole word.
    """
    wanted = tuple(dict.fromkeys(word.lower() for word in words))
    return tuple(
        token
        for token, text in enumerate(spelled(tokenizer))
        if (piece := text.strip().lower())
        and any(
            word == piece or (len(piece) >= shortest and word.startswith(piece)) for word in wanted
        )
    )


@lru_cache(maxsize=4)
def spelled(tokenizer: Any) -> tuple[str, ...]:
    """Every token of the vocabulary as text, by id."""
    return tuple(tokenizer.batch_decode([[token] for token in range(len(tokenizer))]))
