"""Asking: the questions of one target, recorded, each with the tokens of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_

from retinoscope.data import Question
from retinoscope.engine import Recording, look
from retinoscope.errors import SampleError, SelectionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.contrast import Contrast, contrast
from retinoscope.experiments.reasoning.parts import Parts, counts, parts_of
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.target import Target, object_of, random_source
from retinoscope.results.own_settings import OwnSettings
from retinoscope.tasks import first_tokens, piece_tokens
from retinoscope.tokens import TokenSet, at, visual

BUFFER = 1
"""Patches around an object that count as its own, as far as they are not as near to another."""

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True, eq=False)
class Item:
    """A question with steps about one image, recorded.

    Attributes:
        target: the object at which it is measured.
        question: the question.
        parts: who plays which part.
        recording: the clean run, the answer's first words put into the model's mouth.
        right: ids of the right next token.
        contrast: the two tokens by whose difference the answer is measured.
        tokens: the visual tokens of each object, by id; no token belongs to two.
    """

    target: Target
    question: Question
    parts: Parts
    recording: Recording
    right: tuple[int, ...]
    contrast: Contrast
    tokens: dict[int, TokenSet]

    def tokens_of(self, ids: tuple[int, ...]) -> TokenSet:
        """The visual tokens of some objects together."""
        layout = self.recording.encoded.layout
        return reduce(or_, (self.tokens[i] for i in ids if i in self.tokens), at(layout, ()))

    @property
    def prompt(self) -> TokenSet:
        """Text behind the image, but for the last position."""
        layout = self.recording.encoded.layout
        behind = max(layout.visual)
        return at(layout, [p for p in layout.text if behind < p < layout.length - 1])

    @property
    def clean_right(self) -> bool:
        """Whether the clean run answers rightly."""
        return int(self.recording.logits.argmax()) in self.right


def questions_of(target: Target, seed: int) -> list[Question]:
    """The questions that are measured at an object: one of each kind, drawn by the seed.

    A question belongs to the object that it is about; one about several, to one of the image's.
    """
    own, sample = target.annotation, target.sample
    about = [
        one for one in sample.questions if one.stepwise and object_of(sample, one, seed) == own
    ]
    kinds = dict.fromkeys(one.kind for one in about)
    rng = random_source(seed, own.object_id, "reasoning")
    chosen = []
    for kind in kinds:
        listed = [one for one in about if one.kind == kind]
        chosen.append(listed[rng.integers(len(listed))])
    return chosen


def ask(bench: Bench[OwnSettings], target: Target, question: Question) -> Item:
    """Record a question.

    Raises:
        SampleError: the answer can't be spelled, or a mask can't be used.
        SelectionError: nothing that the question needs is in the part of the image that is seen.
        ModelError: the model's layers can't be replayed.
    """
    checkpoint = bench.checkpoint
    prefix = begin(question)
    recording = look(checkpoint, target.image, question.text, prefix=prefix)
    # Some hundred conditions a question: a full pass for each would take hours.
    recording.require_replay("The experiment reasoning")
    right = answer_tokens(checkpoint.tokenizer, question.word, begun=bool(prefix))
    if not right:
        raise SampleError(f"The tokenizer can't spell {question.word!r}; leave this question out.")
    return Item(
        target,
        question,
        parts_of(target.sample, question),
        recording,
        right,
        contrast(recording.logits, right),
        _tokens(recording, target, bench),
    )


def begin(question: Question) -> str:
    """The answer's words before the one that counts: "It is a"; "" where it comes first."""
    return question.answer.partition(question.word)[0].strip()


def others_of(item: Item, bench: Bench[OwnSettings]) -> Iterator[Item]:
    """The same kind of question about the same image with another answer and as many tokens.

    The answer must begin alike: "It is an" gives away that what follows begins with a vowel.
    """
    shape = item.recording.encoded.layout
    for question in item.target.sample.questions:
        alike = question.kind == item.question.kind and question.word != item.question.word
        if alike and question.stepwise and begin(question) == begin(item.question):
            other = ask(bench, item.target, question)
            if other.recording.encoded.layout == shape and other.clean_right:
                yield other


def one_less(item: Item, bench: Bench[OwnSettings]) -> tuple[int, ...]:
    """Ids of the answer that is one less than a count; () where there is none."""
    word = item.question.word
    if not counts(item.question):
        return ()
    if word.isdigit():
        fewer = str(int(word) - 1)
    elif word.lower() in NUMBERS[1:]:
        fewer = NUMBERS[NUMBERS.index(word.lower()) - 1]
    else:
        return ()
    tokenizer = bench.checkpoint.tokenizer
    return answer_tokens(tokenizer, fewer, begun=bool(begin(item.question)))


def answer_tokens(tokenizer: object, word: str, *, begun: bool) -> tuple[int, ...]:
    """Ids of the first token of an answer, behind its first words or at its very beginning."""
    return first_tokens(tokenizer, [word]) if begun else piece_tokens(tokenizer, [word])


def _tokens(recording: Recording, target: Target, bench: Bench[OwnSettings]) -> dict[int, TokenSet]:
    """Every object's tokens with its buffer, less what another object has or is as near to."""
    layout = recording.encoded.layout
    bare: dict[int, TokenSet] = {}
    for one in target.sample.annotations:
        try:
            bare[one.object_id] = object_tokens(layout, target.mask_of(one), bench.settings)
        except SelectionError:
            continue  # Outside the part of the image that the model sees: it has no tokens.
    nobody = visual(layout) - visual(layout)
    found = {}
    for object_id, tokens in bare.items():
        others = [theirs for i, theirs in bare.items() if i != object_id]
        covered = reduce(or_, others, nobody)
        near = reduce(or_, (theirs.dilate(BUFFER) for theirs in others), nobody)
        found[object_id] = (tokens - covered) | (tokens.dilate(BUFFER) - near)
    return found
