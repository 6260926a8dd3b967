"""The original code's tests of an answer, and how they stand beside ours."""

from __future__ import annotations

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.tasks import Query, ask, poll, score_next, score_text, settled
from retinoscope.tasks.original import begins_class_word, holds_name, says_yes

TOKENIZER = tiny.tokenizer()


def number(word: str) -> int:
    return tiny.WORDS.index(word)


def certain(word: str) -> torch.Tensor:
    logits = torch.zeros(len(tiny.WORDS))
    logits[number(word)] = 9.0
    return logits


@pytest.mark.parametrize(
    ("text", "name", "ours", "original"),
    [
        ("It is located here.", "cat", False, True),
        ("A cat.", "cat", True, True),
        ("Cats sleep.", "cat", True, False),
        ("A sofa stands there.", "couch", True, False),
        ("Grass.", "cat", False, False),
    ],
)
def test_a_description_is_searched_for_the_name(
    text: str, name: str, ours: bool, original: bool
) -> None:
    assert holds_name(text, name) is original
    score = score_text(Query("describe", name, "Describe this image."), text)
    assert (score.right, score.right_original) == (ours, original)


@pytest.mark.parametrize(
    ("word", "original"),
    [("dog", True), ("dogs", False), ("<eos>", True), ("cat", False), ("is", False)],
)
def test_the_prefix_is_tested_the_wrong_way_round(word: str, original: bool) -> None:
    assert begins_class_word(number(word), "dog", TOKENIZER) is original


def test_what_begins_a_word_is_right_to_the_original_alone() -> None:
    query = ask("apple", "What is at the left ?", TOKENIZER)
    begun = score_next(query, certain("a"), TOKENIZER)
    assert (begun.right, begun.right_original) == (False, True)
    whole = score_next(query, certain("apple"), TOKENIZER)
    assert (whole.right, whole.right_original) == (True, True)
    many = score_next(ask("dog", "What is it ?", TOKENIZER), certain("dogs"), TOKENIZER)
    assert (many.right, many.right_original) == (True, False)


def test_polls_agree_on_yes_and_no() -> None:
    query = poll("dog", TOKENIZER)
    for word, wanted in (("Yes", True), ("No", False)):
        assert says_yes(number(word), TOKENIZER) is wanted
        score = score_next(query, certain(word), TOKENIZER)
        assert (score.right, score.right_original) == (wanted, wanted)
    control = score_next(poll("dog", TOKENIZER, present=False), certain("No"), TOKENIZER)
    assert (control.right, control.right_original) == (True, None)


def test_the_first_tokens_probability_is_kept_beside_the_right_ones() -> None:
    logits = torch.randn(len(tiny.WORDS), generator=torch.Generator().manual_seed(0))
    score = score_next(poll("dog", TOKENIZER), logits, TOKENIZER)
    shares = logits.softmax(-1)
    assert score.top_probability == pytest.approx(float(shares.max()))
    assert score.probability == pytest.approx(float(shares[number("Yes")]))
    right = score_next(poll("dog", TOKENIZER), certain("Yes"), TOKENIZER)
    assert right.top_probability == pytest.approx(right.probability)


PIECES = ("cat", "cats", "egory", " ", ".", "a", "Cat", "kitten", "lo", "ed", "dog", ", ")


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.lists(st.sampled_from(PIECES)))
def test_what_follows_a_settled_description_changes_no_score(text: str, more: list[str]) -> None:
    if settled("cat", text):
        query = Query("describe", "cat", "Describe this image.")
        now, later = score_text(query, text), score_text(query, text + "".join(more))
        assert (now.right, now.right_original) == (True, True)
        assert (later.right, later.right_original) == (True, True)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A cat", False),  # "A category" may follow
        ("A cat ", True),
        ("A cat.", True),
        ("Two cats ", True),
        ("Cats sleep", False),  # the original's test does not hold yet
        ("A kitten sleeps", False),
        ("It is located here.", False),
        ("", False),
    ],
)
def test_a_description_is_settled_where_it_names_the_class_for_good(
    text: str, wanted: bool
) -> None:
    assert settled("cat", text) is wanted


def test_an_article_is_a_always_where_that_is_asked() -> None:
    assert poll("apple", TOKENIZER).question == "Is there an apple in this image?"
    assert poll("apple", TOKENIZER, always_a=True).question == "Is there a apple in this image?"
    assert ask("apple", "What is it ?", TOKENIZER).prefix == "It is an"
    assert ask("apple", "What is it ?", TOKENIZER, always_a=True).prefix == "It is a"
