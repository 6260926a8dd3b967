"""Finding a word of the prompt among its tokens, however a tokenizer cuts the text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.errors import SelectionError
from retinoscope.geometry import PatchGrid, Tile
from retinoscope.tokens import TokenLayout, VisualSpan, word

TEXT = "Is the hot  dog a DOG or a doghouse? The hot dog, naïvely."


@given(st.lists(st.integers(1, len(TEXT) - 1), unique=True).map(sorted))
def test_the_tokens_that_hold_a_part_of_the_word_are_its_tokens(cuts):
    edges = [0, *cuts, len(TEXT)]
    pieces = [TEXT[a:b] for a, b in itertools.pairwise(edges)]

    def decode(ids: Sequence[int]) -> str:
        return "".join(pieces[i] for i in ids)

    found = word(TokenLayout(len(pieces), ()), range(len(pieces)), decode, "dog")
    spans = [(12, 15), (18, 21), (45, 48)]  # not that of the doghouse
    assert [TEXT[a:b].lower() for a, b in spans] == ["dog"] * 3
    wanted = {
        index
        for index, (a, b) in enumerate(itertools.pairwise(edges))
        if any(a < end and b > start for start, end in spans)
    }
    assert set(found) == wanted
    phrase = word(TokenLayout(len(pieces), ()), range(len(pieces)), decode, "Hot dog")
    assert {index for index, edge in enumerate(edges[:-1]) if 7 <= edge < 15} <= set(phrase)


def test_bytes_of_one_letter_belong_together_and_images_are_passed_over():
    text = b"an \xc3\xa9t\xc3\xa9"
    ids = [*text[:3], 0, 0, *text[3:]]  # two visual tokens before the word
    span = VisualSpan((3, 4), PatchGrid((2, 1), (Tile(1, 2, (0, 0, 2, 1)),)))
    layout = TokenLayout(len(ids), (span,))

    def decode(some: Sequence[int]) -> str:
        return bytes(some).decode(errors="replace")

    assert list(word(layout, ids, decode, "ÉTÉ")) == [5, 6, 7, 8, 9]
    assert list(word(layout, ids, decode, "an")) == [0, 1]
    with pytest.raises(SelectionError, match="does not hold 'ét' as a whole word"):
        word(layout, ids, decode, "ét")
