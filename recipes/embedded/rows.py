"""Several exchanges about one context in one row, none of which sees another.

A row is a context (words or an image) followed by exchanges. Each exchange attends to the
context and to itself and counts its positions from the context's end, exactly as if it were
asked alone; so one pass over a context trains many questions, and no answer can be copied from
an earlier one. All rows are of one length, so that every step of a training is the same kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Int16, Int32, UInt8

from recipes.embedded.words import Words
from recipes.stack.shape import PATCHES

BEFORE = 3
"""Tokens before the first visual token: <bos>, USER and the colon."""
LENGTH = 304
"""Tokens of a row: a context of an image, and 157 for the exchanges; a multiple of 8."""
EXCHANGES = 20
"""Exchanges of a row at most."""
PADDING = 255
"""Block of a token that pads a row."""


@dataclass(frozen=True)
class Asked:
    """One exchange as it is laid out.

    Attributes:
        question: the question.
        answer: the answer.
        kind: number of its kind.
        named: bits of the things that the question names.
        sought: bits of the things that it asks for.
    """

    question: str
    answer: str
    kind: int = 0
    named: int = 0
    sought: int = 0


@dataclass(frozen=True)
class Rows:
    """Rows of tokens with what each may see.

    Attributes:
        tokens: token numbers.
        positions: position of each token as if its exchange stood alone.
        blocks: 0 for the context, 1, 2, ... for the exchanges, `PADDING` for padding.
        answers: for tokens of an answer, how many tokens the answer has; 0 elsewhere.
        kinds: number of each exchange's kind, `PADDING` where there is none.
        named: bits of the things that each exchange names.
        sought: bits of the things that each exchange asks for.
        image: number of the image, -1 for a context of words.
        erased: (first row, first column, past row, past column) of visual tokens that give way,
            zeros for none.
        restyled: 1 where the image may be shown in other colours, since none is asked for.
    """

    tokens: UInt8[np.ndarray, "n length"]
    positions: Int16[np.ndarray, "n length"]
    blocks: UInt8[np.ndarray, "n length"]
    answers: UInt8[np.ndarray, "n length"]
    kinds: UInt8[np.ndarray, "n exchanges"]
    named: UInt8[np.ndarray, "n exchanges"]
    sought: UInt8[np.ndarray, "n exchanges"]
    image: Int32[np.ndarray, " n"]
    erased: UInt8[np.ndarray, "n 4"]
    restyled: UInt8[np.ndarray, " n"]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.tokens)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every array by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __getitem__(self, which: np.ndarray | slice) -> Rows:
        """Return some of the rows."""
        return Rows(**{name: array[which] for name, array in self.arrays().items()})


def empty_rows(count: int) -> Rows:
    """Return rows to be filled."""
    return Rows(
        tokens=np.zeros((count, LENGTH), np.uint8),
        positions=np.zeros((count, LENGTH), np.int16),
        blocks=np.full((count, LENGTH), PADDING, np.uint8),
        answers=np.zeros((count, LENGTH), np.uint8),
        kinds=np.full((count, EXCHANGES), PADDING, np.uint8),
        named=np.zeros((count, EXCHANGES), np.uint8),
        sought=np.zeros((count, EXCHANGES), np.uint8),
        image=np.full(count, -1, np.int32),
        erased=np.zeros((count, 4), np.uint8),
        restyled=np.zeros(count, np.uint8),
    )


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Put rows behind one another."""
    names = [field.name for field in fields(Rows)]
    return Rows(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def fill_row(
    rows: Rows,
    row: int,
    context: Sequence[int],
    next_asked: Callable[[], Asked | None],
    words: Words,
) -> int:
    """Lay out a context and as many exchanges about it as find room.

    Args:
        rows: where to.
        row: which of them.
        context: tokens of the context as it stands in a prompt.
        next_asked: draws the next exchange, None when there are no more. Drawing ends with the
            second exchange that finds no room.
        words: token numbers.

    Returns:
        Number of exchanges.
    """
    at, start, number, missed = len(context), len(context), 0, 0
    rows.tokens[row, :at] = context
    rows.positions[row, :at] = np.arange(at)
    rows.blocks[row, :at] = 0
    assistant = words("ASSISTANT:")
    while number < EXCHANGES and missed < 2:
        asked = next_asked()
        if asked is None:
            break
        prompt = [*words(asked.question), *assistant]
        answer = [*words(asked.answer), words.eos]
        end = at + len(prompt) + len(answer)
        if end > LENGTH:
            missed += 1
            continue
        rows.tokens[row, at:end] = prompt + answer
        rows.positions[row, at:end] = np.arange(start, start + end - at)
        rows.blocks[row, at:end] = number + 1
        rows.answers[row, at + len(prompt) : end] = len(answer)
        rows.kinds[row, number] = asked.kind
        rows.named[row, number] = asked.named
        rows.sought[row, number] = asked.sought
        at, number = end, number + 1
    return number


def read_exchanges(rows: Rows, row: int, words: Words) -> list[tuple[str, str]]:
    """Return the questions and answers of one row as they were asked."""
    found = []
    for number in range(1, int((rows.kinds[row] != PADDING).sum()) + 1):
        inside = rows.blocks[row] == number
        answer = inside & (rows.answers[row] > 0)
        # The last two tokens of a prompt ask for the answer; the last of an answer ends it.
        question = rows.tokens[row][inside & ~answer][:-2]
        found.append((words.write(question), words.write(rows.tokens[row][answer][:-1])))
    return found


def image_context(words: Words) -> list[int]:
    """Return the context of an image: 144 places for visual tokens."""
    return words.context([words.image] * PATCHES)
