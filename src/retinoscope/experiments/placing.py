"""Questions for any data: what stands where, and how many there are, made of the annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retinoscope.data.scenes.language import NUMBERS, place, position_question, position_word
from retinoscope.experiments.objects import Placed
from retinoscope.tasks import Query, article, first_tokens, piece_tokens, plural, word_forms


def position_query(thing: Placed, things: Sequence[Placed], tokenizer: Any) -> Query | None:
    """Ask "What is at the left?", whose answer is this object.

    Args:
        thing: the object.
        things: all objects of the image.
        tokenizer: the model's.

    Returns:
        None where another object's centre lies in the same ninth of the image.
    """
    if sum(other.cell == thing.cell for other in things) > 1:
        return None
    return Query(
        task="ask",
        class_name=thing.class_name,
        question=position_question(*thing.cell),
        prefix=f"It is {article(thing.class_name)}",
        right=first_tokens(tokenizer, word_forms(thing.class_name)),
    )


def where_query(thing: Placed, things: Sequence[Placed], tokenizer: Any) -> Query | None:
    """Ask "Where is the dog?", whose answer is this object's place.

    Args:
        thing: the object.
        things: all objects of the image.
        tokenizer: the model's.

    Returns:
        None where the image holds another object of the class. Only the first word of the place
        is scored: "top" of "top left".
    """
    if sum(other.class_name == thing.class_name for other in things) > 1:
        return None
    word = position_word(*thing.cell)
    return Query(
        task="where",
        class_name=thing.class_name,
        question=f"Where is the {thing.class_name}?",
        prefix=f"It is {place(*thing.cell).removesuffix(word).strip()}",
        right=first_tokens(tokenizer, [word.split()[0]]),
    )


def count_query(class_name: str, count: int, tokenizer: Any) -> Query | None:
    """Ask "How many dogs are there?", with the number as a word or a digit.

    Args:
        class_name: of the objects.
        count: how many there are.
        tokenizer: the model's.

    Returns:
        None where the number has no word here (more than five), or the tokenizer none.
    """
    right = count_tokens(count, tokenizer)
    if not right:
        return None
    return Query("count", class_name, f"How many {plural(class_name)} are there?", right=right)


def count_tokens(count: int, tokenizer: Any) -> tuple[int, ...]:
    """Ids of the tokens that say a number, () where it has no word here."""
    if not 0 <= count < len(NUMBERS):
        return ()
    return piece_tokens(tokenizer, [NUMBERS[count], str(count)])
