"""Poll: is there such an object in the image, yes or no?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retinoscope.tasks.original import says_yes
from retinoscope.tasks.query import Query
from retinoscope.tasks.task import Asked, Task, Unasked
from retinoscope.tasks.vocabulary import piece_tokens
from retinoscope.tasks.words import article


def poll(class_name: str, tokenizer: Any, *, present: bool = True, always_a: bool = False) -> Query:
    """The query "Is there a dog in this image?" (paper, section 3.1).

    Args:
        class_name: the object to poll for.
        tokenizer: for the ids of "yes" and "no" in any case.
        present: whether the object is there; where it is not, "no" is right: the control that a
            model which says yes to everything fails.
        always_a: write "a" before a vowel too.
    """
    return Query(
        task="poll" if present else "poll-absent",
        class_name=class_name,
        question=f"Is there {article(class_name, always_a=always_a)} {class_name} in this image?",
        right=piece_tokens(tokenizer, ["yes" if present else "no"]),
        control=not present,
        original=_says_yes if present else None,
    )


def _says_yes(token: int, class_name: str, tokenizer: Any) -> bool:
    return says_yes(token, tokenizer)


def _queries(asked: Asked, tokenizer: Any, *, always_a: bool) -> Sequence[Query | Unasked]:
    own = poll(asked.class_name, tokenizer, always_a=always_a)
    if not asked.absent:
        return own, Unasked("poll-absent", "the image holds every class")
    return own, poll(asked.absent, tokenizer, present=False, always_a=always_a)


TASK = Task("poll", _queries, place=2)
