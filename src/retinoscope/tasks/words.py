"""English words: articles, plurals, and whether a text names a class."""

from __future__ import annotations

import re
from functools import cache

import inflect

from retinoscope.tasks.synonyms import SYNONYMS


@cache
def _english() -> inflect.engine:
    return inflect.engine()


def article(word: str, *, always_a: bool = False) -> str:
    """The word's article, "a" or "an", as its sound wants it; or "a" always, as the original."""
    return "a" if always_a else _english().a(word).split(maxsplit=1)[0]


@cache
def plural(word: str) -> str:
    """The word's plural; a word that is a plural already (scissors) stays as it is."""
    if _english().singular_noun(word):
        return word
    return _english().plural_noun(word)


@cache
def word_forms(class_name: str) -> tuple[str, ...]:
    """The class name, its plural, its synonyms and theirs, each once, lower case."""
    words = (class_name.lower(), *SYNONYMS.get(class_name.lower(), ()))
    return tuple(dict.fromkeys(form for word in words for form in (word, plural(word))))


@cache
def _pattern(class_name: str) -> re.Pattern[str]:
    forms = sorted(word_forms(class_name), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, forms))})(?!\w)", re.IGNORECASE)


def named(text: str, class_name: str) -> bool:
    """Whether a text names a class: as a whole word, in singular, plural or a synonym.

    The paper's code looks for a substring, which finds "cat" in "located".
    """
    return _pattern(class_name).search(text) is not None


def first_mention(text: str, class_name: str) -> tuple[int, int] | None:
    """Where a text first names a class, as (start, end) characters; None where it doesn't."""
    match = _pattern(class_name).search(text)
    return match.span() if match else None
