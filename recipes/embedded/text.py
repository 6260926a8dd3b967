"""The words of the embedded model: its tokenizer, and the documents its decoder is trained on.

A document is a context followed by questions. The context stands where an image will stand
later: sentences that list what a scene holds, or a *raster*, the words of the scene cell by
cell in reading order, as the patches of an image come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from retinoscope.data.scenes.classes import CLASSES, NAMES, THEMES, with_article
from retinoscope.data.scenes.colour import COLOURS
from retinoscope.data.scenes.language import (
    DESCRIBE,
    NUMBERS,
    Fact,
    caption,
    count_question,
    place,
    poll_question,
    questions,
)
from retinoscope.data.scenes.layout import SIZE, Placement, arrange

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>", "<image>")
DESCRIPTIONS = (DESCRIBE, DESCRIBE, DESCRIBE, "What is in this image?", "What do you see?")
# What the empty cells of a raster say: the upper and the lower part of a place.
GROUNDS = {
    "park": ("sky", "grass"),
    "street": ("sky", "road"),
    "room": ("wall", "floor"),
    "kitchen": ("wall", "table"),
    "garden": ("grass", "soil"),
    "sea": ("sky", "water"),
}
# How often each kind of exchange is trained: a poll that is half yes and half no, and so on.
SHARES = {
    "describe": 0.2,
    "poll": 0.28,
    "position": 0.14,
    "relation": 0.14,
    "count": 0.1,
    "colour": 0.04,
    "where": 0.05,
    "kind": 0.05,
}


# The same for text that trains the decoder to find what belongs to what: polls need none of it.
BINDING_SHARES = {
    "describe": 0.16,
    "poll": 0.12,
    "position": 0.2,
    "relation": 0.2,
    "count": 0.07,
    "colour": 0.1,
    "where": 0.1,
    "kind": 0.05,
}


@dataclass(frozen=True)
class Exchange:
    """A question, its answer, what kind of question it is, and the number of the fact it asks for.

    The number is None where the answer is no single thing.
    """

    question: str
    answer: str
    kind: str
    subject: int | None = None


@dataclass(frozen=True)
class Document:
    """A context in words and the exchanges about it."""

    context: str
    exchanges: tuple[Exchange, ...]


def poll(facts: Sequence[Fact], present: bool, rng: np.random.Generator) -> Exchange:
    """Ask about a class that is there, or about one that is not."""
    there = sorted({f.name for f in facts})
    absent = [name for name in NAMES if name not in there]
    themes = [names for names in THEMES.values() if there[0] in names]
    if rng.random() < 0.5:
        absent = [n for n in themes[rng.integers(len(themes))] if n not in there]
    pool = there if present else absent
    name = pool[rng.integers(len(pool))]
    return Exchange(poll_question(name), "Yes" if present else "No", "poll")


def exchanges(
    facts: Sequence[Fact],
    count: int,
    rng: np.random.Generator,
    without: tuple[str, ...] = (),
    shares: dict[str, float] = SHARES,
) -> tuple[Exchange, ...]:
    """Draw exchanges about a scene by shares; kinds a scene can't be asked are drawn again."""
    kinds = [k for k in shares if k not in without]
    weights = np.array([shares[k] for k in kinds])
    listed = questions(facts)
    found: list[Exchange] = []
    present = rng.random() < 0.5
    while len(found) < count:
        kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
        if kind == "describe":
            prompt = DESCRIPTIONS[rng.integers(len(DESCRIPTIONS))]
            found.append(Exchange(prompt, caption(facts, rng), kind))
        elif kind == "poll":
            found.append(poll(facts, present, rng))
            present = not present
        elif kind == "count" and rng.random() < 0.12:
            absent = [n for n in NAMES if n not in {f.name for f in facts}]
            name = absent[rng.integers(len(absent))]
            found.append(Exchange(count_question(name), NUMBERS[0], kind))
        else:
            fitting = [q for q in listed if q.kind == kind]
            if fitting:
                chosen = fitting[rng.integers(len(fitting))]
                found.append(Exchange(chosen.question, chosen.answer, kind, chosen.subject))
    return tuple(found)


def imagine(rng: np.random.Generator) -> tuple[str, tuple[Placement, ...], list[Fact]]:
    """Arrange a scene without drawing it; colours are drawn at random."""
    theme, placements = arrange(rng)
    return (
        theme,
        placements,
        [Fact(p.name, p.row, p.column, COLOURS[rng.integers(len(COLOURS))]) for p in placements],
    )


def sentence_document(count: int, rng: np.random.Generator, restate: bool = False) -> Document:
    """A document whose context says in sentences what is where.

    Args:
        count: number of exchanges.
        rng: source of every choice.
        restate: say everything twice, half of the time in the same words, else in new ones and
            another order. What is said again can be foretold from what was said first, by finding
            what belongs to what, which is also what answering needs.
    """
    _, _, facts = imagine(rng)
    context = _state(facts, rng)
    if restate:
        context = f"{context} {context if rng.random() < 0.5 else _state(facts, rng)}"
    shares = BINDING_SHARES if restate else SHARES
    return Document(context, exchanges(facts, count, rng, shares=shares))


def _state(facts: Sequence[Fact], rng: np.random.Generator) -> str:
    parts = []
    for i in rng.permutation(len(facts)):
        fact = facts[i]
        where = place(fact.row, fact.column)
        a_thing = with_article(fact.name)
        colour = with_article(f"{fact.colour} {fact.name}")
        forms = (
            f"There is {colour} {where}.",
            f"{where[0].upper()}{where[1:]} is {colour}.",
            f"There is {a_thing} {where}. The {fact.name} {where} is {fact.colour}.",
        )
        parts.append(forms[rng.integers(len(forms))])
    return " ".join(parts)


def raster_document(count: int, grid: int, rng: np.random.Generator) -> Document:
    """A document whose context names what stands in each cell of a grid, row by row."""
    theme, placements, facts = imagine(rng)
    upper, lower = GROUNDS[theme]
    horizon = rng.uniform(0.2, 0.9) * grid
    words = [[upper if row < horizon else lower] * grid for row in range(grid)]
    cell = SIZE / grid
    for p in placements:
        reach = 0.46 * p.size
        home = (int(p.y / cell), int(p.x / cell))
        for row in range(grid):
            for column in range(grid):
                dx, dy = (column + 0.5) * cell - p.x, (row + 0.5) * cell - p.y
                if dx * dx + dy * dy < reach * reach or (row, column) == home:
                    words[row][column] = p.name
    context = " ".join(word for row in words for word in row)
    return Document(context, exchanges(facts, count, rng, without=("colour",)))


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Build the word-level tokenizer: one token for each word and punctuation mark.

    Words are kept as they are written, so that "Yes" is one token; the vocabulary is every word
    the documents can say. Decoding joins words with spaces, with none before a mark.
    """
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    words = {"USER", "ASSISTANT", ":", "?", ".", ","} | set(NUMBERS) | set(COLOURS)
    for scene_class in CLASSES.values():
        words |= {scene_class.name, scene_class.plural, scene_class.kind}
    rng = np.random.default_rng(0)
    for i in range(4000):
        document = raster_document(4, 4, rng) if i % 2 else sentence_document(4, rng)
        texts = [document.context, *(f"{e.question} {e.answer}" for e in document.exchanges)]
        words |= {w for text in texts for w, _ in split.pre_tokenize_str(text)}
    vocabulary = {w: i for i, w in enumerate([*SPECIAL, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Sequence(
        [decoders.WordPiece(prefix="##", cleanup=True), decoders.Replace(" :", ":")]
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
