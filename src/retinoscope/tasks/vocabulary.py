"""From words to the tokens of a model's vocabulary, and back."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any


def first_tokens(tokenizer: Any, words: Iterable[str]) -> tuple[int, ...]:
    """Ids of the token that each word begins with inside a sentence, ascending.

    A word is spelled as it stands after a space ("It is a dog"); where the tokenizer keeps a
    lone word-start mark (SentencePiece's "▁") that piece is passed over.
    """
    return tuple(
        sorted({first for word in words if (first := _first(tokenizer, word)) is not None})
    )


def _first(tokenizer: Any, word: str) -> int | None:
    anchor = tokenizer.encode("a", add_special_tokens=False)
    ids = tokenizer.encode(f"a {word}", add_special_tokens=False)[len(anchor) :]
    known = [i for i in ids if i != tokenizer.unk_token_id and tokenizer.decode([i]).strip()]
    return known[0] if known else None


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
