"""Ask: a question whose answer is the object."""

from __future__ import annotations

from typing import Any

from retinoscope.tasks.query import Query
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
    )
