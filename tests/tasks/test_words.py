"""Words and whether a text names them."""

from __future__ import annotations

import pytest

from retinoscope.tasks import article, named, plural, word_forms
from retinoscope.tasks.words import first_mention


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        ("There is a cat.", "cat", True),
        ("It is located here.", "cat", False),
        ("Two CATS sleep", "cat", True),
        ("a category of things", "cat", False),
        ("There are two mice.", "mouse", True),
        ("A traffic light hangs there", "traffic light", True),
        ("The traffic was light", "traffic light", False),
        ("A sofa stands there", "couch", True),
        ("", "dog", False),
        ("scissors lie here", "scissors", True),
        ("a hot-dog", "dog", True),
    ],
)
def test_named(text, name, wanted):
    assert named(text, name) is wanted


def test_a_mention_is_where_the_word_stands():
    text = "There are two dogs and a cat."
    span = first_mention(text, "dog")
    assert span is not None
    assert text[slice(*span)] == "dogs"
    assert first_mention(text, "car") is None


@pytest.mark.parametrize(("word", "wanted"), [("apple", "an"), ("dog", "a"), ("umbrella", "an")])
def test_article(word, wanted):
    assert article(word) == wanted


def test_forms_are_distinct_and_begin_with_the_name():
    assert word_forms("Mouse") == ("mouse", "mice")
    assert plural("scissors") == "scissors"
    for name in ("person", "tv", "dog"):
        forms = word_forms(name)
        assert forms[0] == name
        assert len(set(forms)) == len(forms)
