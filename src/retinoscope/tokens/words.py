"""Finding a word of the prompt among its tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

from retinoscope.errors import SelectionError
from retinoscope.tokens.layout import TokenLayout
from retinoscope.tokens.tokenset import TokenSet, at

Decode = Callable[[Sequence[int]], str]
"""Token ids as text, nothing left out or cleaned up."""


def word(layout: TokenLayout, ids: Sequence[int], decode: Decode, sought: str) -> TokenSet:
    """The text tokens that spell a word, at every place where the prompt holds it.

    Words are compared whole and without their case; several words are one phrase. A token that
    holds a part of the word belongs to it, whatever else it holds.

    Args:
        layout: the sequence.
        ids: the sequence's token ids.
        decode: the tokenizer's decoding.
        sought: the word, such as "dog".

    Raises:
        SelectionError: the prompt does not hold it, or nothing is sought.
    """
    parts = sought.split() if isinstance(sought, str) else []
    if not parts:
        raise SelectionError(f"A word of the prompt is needed, such as 'dog'; got {sought!r}.")
    pattern = re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, parts)) + r"(?!\w)", re.IGNORECASE)
    texts: list[str] = []
    found: set[int] = set()
    for run in _runs(layout.text):
        whole, parts_of = _parts([ids[position] for position in run], decode)
        texts.append(whole)
        for match in pattern.finditer(whole):
            first, last = match.span()
            found |= {
                position
                for position, (start, end) in zip(run, parts_of, strict=True)
                if start < last and end > first
            }
    if not found:
        raise SelectionError(
            f"The prompt does not hold {sought!r} as a whole word; its text is "
            f"{' '.join(text.strip() for text in texts)!r}."
        )
    return at(layout, found)


def _runs(positions: Sequence[int]) -> list[list[int]]:
    """Positions that follow each other, together: text between images."""
    return [
        [position for _, position in members]
        for _, members in groupby(enumerate(positions), lambda pair: pair[1] - pair[0])
    ]


def _parts(ids: Sequence[int], decode: Decode) -> tuple[str, list[tuple[int, int]]]:
    """The text of some tokens, and from where to where each token's part of it reaches.

    Tokens that are bytes of one character share it.
    """
    whole = decode(ids)
    ends = [_shared(decode(ids[: n + 1]), whole) for n in range(len(ids))]
    starts = [0, *ends[:-1]]
    return whole, [
        (start, next((end for end in ends[n:] if end > start), start))
        for n, start in enumerate(starts)
    ]


def _shared(first: str, second: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(first), len(second)))
