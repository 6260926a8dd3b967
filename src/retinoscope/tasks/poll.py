"""Poll: is there such an object in the image, yes or no?"""

from __future__ import annotations

from typing import Any

from retinoscope.tasks.query import Query
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
    )
