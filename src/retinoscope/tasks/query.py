"""Query: what is asked and which answers are right; Score: how an answer did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from retinoscope.errors import SampleError
from retinoscope.tasks.original import holds_name
from retinoscope.tasks.words import first_mention, named


@dataclass(frozen=True)
class Query:
    """One question about one object.

    Attributes:
        task: the task's name; of a control, whose object is not there, with "-absent" behind it.
        class_name: the object's class.
        question: what the user writes.
        prefix: the beginning of the answer that is put in the model's mouth, or "".
        right: token ids that are the right next token; empty where the text is scored.
        written: whether the whole text is scored, not the next token.
        control: whether it asks about an object that is not there.
        original: the original code's test of a next token, given the token, the class and the
            tokenizer; None where it takes none.
    """

    task: str
    class_name: str
    question: str
    prefix: str = ""
    right: tuple[int, ...] = ()
    written: bool = False
    control: bool = False
    original: Callable[[int, str, Any], bool] | None = None


@dataclass(frozen=True)
class Score:
    """One answer, scored.

    Attributes:
        answer: the answer as text.
        right: whether it is right.
        probability: of the right next token (all of them together), 0 to 1; None for a text.
        margin: the first next-token logit less the second; None for a text.
        right_original: whether the original code takes it as right; None where it has no test.
        top_probability: of whichever next token came first, 0 to 1; None for a text.
    """

    answer: str
    right: bool
    probability: float | None
    margin: float | None
    right_original: bool | None = None
    top_probability: float | None = None


def score_next(query: Query, logits: Float[Tensor, " vocabulary"], tokenizer: Any) -> Score:
    """Score the next token: right where the model's first choice is one of the right ones.

    The probability is that of the right tokens; that of whichever token came first, which the
    original code takes, is kept beside it, as is the original's own test of the answer.

    Raises:
        SampleError: none of the right answers is in the model's vocabulary.
    """
    if not query.right:
        raise SampleError(
            f"The tokenizer can't spell any right answer to {query.question!r} for the class "
            f"{query.class_name!r}; leave this object out of the task {query.task}."
        )
    logits = logits.float()
    first, second = logits.topk(2).values.tolist()
    token = int(logits.argmax())
    probabilities = logits.softmax(-1)
    return Score(
        answer=tokenizer.decode([token]).strip(),
        right=token in query.right,
        probability=min(float(probabilities[list(query.right)].sum()), 1.0),
        margin=first - second,
        right_original=query.original and query.original(token, query.class_name, tokenizer),
        top_probability=float(probabilities[token]),
    )


def score_text(query: Query, text: str) -> Score:
    """Score a description: right where it names the object as a whole word."""
    original = holds_name(text, query.class_name)
    return Score(text, named(text, query.class_name), None, None, original)


def settled(class_name: str, text: str) -> bool:
    """Whether a description names a class for good: whatever follows, its score stays.

    That is where the name is a whole word with more text behind it, and the original's test of the
    text holds too. A description that does not name the class is open until it ends.
    """
    span = first_mention(text, class_name)
    return span is not None and span[1] < len(text) and holds_name(text, class_name)
