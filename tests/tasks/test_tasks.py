"""Prompts, right answers, and scores of next tokens."""

from __future__ import annotations

import pytest
import tiny
import torch

from retinoscope.errors import DataError
from retinoscope.tasks import (
    Query,
    ask,
    describe,
    first_tokens,
    piece_tokens,
    poll,
    score_next,
    score_text,
)

TOKENIZER = tiny.tokenizer()


def logits_for(word: str, value: float = 5.0) -> torch.Tensor:
    row = torch.zeros(len(tiny.WORDS))
    row[tiny.WORDS.index(word)] = value
    return row


def test_prompts_are_the_papers():
    assert describe("dog").question == "Describe this image."
    assert poll("apple", TOKENIZER).question == "Is there an apple in this image?"
    assert ask("apple", "What is left?", TOKENIZER).prefix == "It is an"
    assert ask("dog", "What is left?", TOKENIZER).prefix == "It is a"


def test_the_no_control_is_right_where_the_poll_is_wrong():
    yes, no = poll("dog", TOKENIZER), poll("dog", TOKENIZER, present=False)
    assert not set(yes.right) & set(no.right)
    for word in ("Yes", "No"):
        told = [score_next(q, logits_for(word), TOKENIZER).right for q in (yes, no)]
        assert sorted(told) == [False, True]


def test_the_score_is_of_the_right_token_not_of_the_first():
    query = ask("dog", "What is left?", TOKENIZER)
    right = score_next(query, logits_for("dog"), TOKENIZER)
    wrong = score_next(query, logits_for("cat"), TOKENIZER)
    assert right.right
    assert not wrong.right
    assert (right.answer, wrong.answer) == ("dog", "cat")
    assert right.probability is not None and wrong.probability is not None
    assert right.probability > 0.5 > wrong.probability > 0
    assert right.margin == pytest.approx(5.0)


def test_an_answer_that_cannot_be_spelled_is_an_error_not_a_wrong_answer():
    assert first_tokens(TOKENIZER, ["zebra"]) == ()
    with pytest.raises(DataError, match="can't spell"):
        score_next(Query("ask", "zebra", "What?"), logits_for("dog"), TOKENIZER)


def test_pieces_begin_the_word_and_are_never_empty():
    spelled = {tiny.WORDS[i] for i in piece_tokens(TOKENIZER, ["dogs"])}
    assert spelled == {"dog", "dogs"}
    assert {tiny.WORDS[i] for i in piece_tokens(TOKENIZER, ["yes"])} == {"Yes"}


def test_a_text_is_right_where_it_names_the_object():
    assert score_text(describe("dog"), "Two dogs.").right
    assert not score_text(describe("dog"), "").right
