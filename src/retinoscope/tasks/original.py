"""The original code's tests of an answer, which runs under the paper's protocol are scored by."""

from __future__ import annotations

from typing import Any


def holds_name(text: str, class_name: str) -> bool:
    """Whether a description holds the class name as it stands, inside another word too."""
    return class_name in text


def says_yes(token: int, tokenizer: Any) -> bool:
    """Whether "yes" occurs in a token, in any case and inside another word too."""
    return "yes" in _text(token, tokenizer)


def begins_class_word(token: int, class_name: str, tokenizer: Any) -> bool:
    """Whether a token begins the class word's first token: the prefix test the wrong way round.

    A token without text (a special one, a line's end) begins every word. The first token is that
    of the lone word, without the tokenizer's word-start mark.
    """
    first = tokenizer.tokenize(class_name.lower())[0].strip().lstrip("\u0120\u2581")
    return first.lower().startswith(_text(token, tokenizer))


def _text(token: int, tokenizer: Any) -> str:
    return tokenizer.decode([token], skip_special_tokens=True).strip().lower()
