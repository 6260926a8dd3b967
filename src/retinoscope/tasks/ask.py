"""Ask: a question whose answer is the object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retinoscope.tasks.original import begins_class_word
from retinoscope.tasks.query import Query
from retinoscope.tasks.task import Asked, Task, Unasked
from retinoscope.tasks.vocabulary import first_tokens
from retinoscope.tasks.words import article, word_forms


def ask(class_name: str, question: str, tokenizer: Any, *, always_a: bool = False) -> Query:
    """The query of a question with the answer begun for the model: "It is a" (paper, section 3.1).

    Args:
        class_name: the right answer.
        question: such as "What is at the left?".
        tokenizer: for the first token of the class word and its other forms.
        always_a: begin with "It is a" before a vowel too.
    """
    return Query(
        task="ask",
        class_name=class_name,
        question=question,
        prefix=f"It is {article(class_name, always_a=always_a)}",
        right=first_tokens(tokenizer, word_forms(class_name)),
        original=begins_class_word,
    )


def _queries(asked: Asked, tokenizer: Any, *, always_a: bool) -> Sequence[Query | Unasked]:
    if not asked.question:
        return (Unasked("ask", "no question has this object as its only answer"),)
    return (ask(asked.class_name, asked.question, tokenizer, always_a=always_a),)


TASK = Task("ask", _queries, place=3)
