"""The documents that decoders are trained on before they see images, and the tokenizer.

A document is a context that questions are asked about. The context stands where an image will
stand later: sentences that list what a scene holds, or a *raster*, the words of the scene cell by
cell in reading order, as the patches of an image come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from recipes.embedded.asking import COLOURED, SHARES, Asker
from recipes.embedded.rows import Rows, empty_rows, fill_row
from recipes.embedded.words import SPECIAL, Words, pieces
from retinoscope.data.scenes.arrange import arrange as arrange_things
from retinoscope.data.scenes.asking import NEW_WORDS
from retinoscope.data.scenes.classes import CLASSES, NAMES, with_article
from retinoscope.data.scenes.colour import COLOURS
from retinoscope.data.scenes.language import NUMBERS, Fact, place
from retinoscope.data.scenes.layout import SIZE, Placement, arrange
from retinoscope.data.scenes.layouts import Layout, LayoutKind, imagine_facts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

RasterKind = Literal["plain", "shuffled", "distracted"]

GRIDS = (4, 6, 8, 12)
# What the empty cells of a raster say: the upper and the lower part of a place.
GROUNDS = {
    "park": ("sky", "grass"),
    "street": ("sky", "road"),
    "room": ("wall", "floor"),
    "kitchen": ("wall", "table"),
    "garden": ("grass", "soil"),
    "sea": ("sky", "water"),
}
FILLERS = tuple(sorted({word for pair in GROUNDS.values() for word in pair}))
# Of the sentences, so many say everything twice: what is said again can be foretold by finding
# what belongs to what, which is also what answering needs.
RESTATED = 0.6
ARRANGED = 0.5
"""Share of the documents that are about arranged scenes."""
SEED = 6
NEIGHBOURS = ("adjacent", "between", "two_hop", "chain")
"""Kinds of question that need to know what is next to what."""
LONGEST = 170
"""Most words of a context, so that there is room for questions."""


@dataclass(frozen=True)
class Imagined:
    """A scene that is not drawn.

    Attributes:
        theme: names the ground.
        placements: its things.
        facts: what language says of them.
        layout: the same, where they were arranged.
    """

    theme: str
    placements: tuple[Placement, ...]
    facts: tuple[Fact, ...]
    layout: Layout | None

    def asker(self, shares: dict[str, float] = SHARES) -> Asker:
        """Return what draws exchanges."""
        return Asker(self.facts, shares, layout=self.layout)


@dataclass(frozen=True)
class Document:
    """A context in words, and what is asked about it.

    Attributes:
        context: the words.
        imagined: what they say.
        without: kinds of question that the context can't answer.
    """

    context: str
    imagined: Imagined
    without: tuple[str, ...] = ()


def imagine(rng: np.random.Generator, arranged: tuple[LayoutKind, ...]) -> Imagined:
    """Make up a scene without drawing it, half of the time an arranged one.

    Args:
        rng: source of every choice.
        arranged: kinds of layout to choose from.
    """
    if rng.random() < ARRANGED:
        kind = arranged[rng.integers(len(arranged))]
        layout = arrange_things(kind, SEED, int(rng.integers(10**6)))
        spots = tuple(Placement(t.name, t.x, t.y, t.size) for t in layout.things)
        return Imagined(layout.theme, spots, imagine_facts(layout, rng), layout)
    theme, placements = arrange(rng)
    facts = [Fact(p.name, p.row, p.column, COLOURS[rng.integers(len(COLOURS))]) for p in placements]
    return Imagined(theme, placements, tuple(facts), None)


def sentence_document(rng: np.random.Generator) -> Document:
    """A document whose context says in sentences what is where."""
    imagined = imagine(rng, ("rows", "rows", "rows", "groups", "groups", "twins", "congruent"))
    context = _state(imagined.facts, rng)
    if rng.random() < RESTATED:
        again = context if rng.random() < 0.5 else _state(imagined.facts, rng)
        if len(pieces(context)) + len(pieces(again)) <= LONGEST:
            context = f"{context} {again}"
    # Sentences give places by thirds of the image, which tell neighbours in these kinds alone.
    told = imagined.layout is None or imagined.layout.kind in ("rows", "congruent")
    return Document(context, imagined, () if told else NEIGHBOURS)


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


def raster_document(
    rng: np.random.Generator, grid: int | None = None, kind: RasterKind = "plain"
) -> Document:
    """A document whose context names what stands in each cell of a grid, row by row.

    Args:
        rng: source of every choice.
        grid: cells along each side, drawn from `GRIDS` if it is None.
        kind: "shuffled" names each class by another one, a new exchange of names in every
            document, so that words repeat as they do and name nothing; "distracted" puts a word
            without meaning in every other cell, so that no word is followed by itself.
    """
    grid = grid or GRIDS[rng.integers(len(GRIDS))]
    imagined = imagine(rng, ("rows", "groups", "scatter"))
    upper, lower = GROUNDS[imagined.theme]
    horizon = rng.uniform(0.2, 0.9) * grid
    words = [[upper if row < horizon else lower] * grid for row in range(grid)]
    renamed = dict(zip(NAMES, rng.permutation(NAMES).tolist(), strict=True))
    cell = SIZE / grid
    for p in imagined.placements:
        name = renamed[p.name] if kind == "shuffled" else p.name
        reach = 0.46 * p.size
        home = (int(p.y / cell), int(p.x / cell))
        for row in range(grid):
            for column in range(grid):
                dx, dy = (column + 0.5) * cell - p.x, (row + 0.5) * cell - p.y
                if dx * dx + dy * dy < reach * reach or (row, column) == home:
                    words[row][column] = name
    line = [word for row in words for word in row]
    if kind == "distracted":
        for at in range(int(rng.integers(2)), len(line), 2):
            line[at] = FILLERS[rng.integers(len(FILLERS))]
    return Document(" ".join(line), imagined, COLOURED)


def text_rows(
    documents: Sequence[Document], words: Words, rng: np.random.Generator, shares=SHARES
) -> Rows:
    """Lay out documents, each with as many exchanges as find room."""
    rows = empty_rows(len(documents))
    for number, document in enumerate(documents):
        context = words.context(words(document.context))
        draw = document.imagined.asker(shares).drawing(rng, document.without)
        fill_row(rows, number, context, draw, words)
    return rows


def vocabulary() -> list[str]:
    """List every word that documents and exchanges say, the special ones first."""
    found = {"USER", "ASSISTANT", ":", "?", ".", ","} | set(NUMBERS)
    found |= set(COLOURS) | set(NEW_WORDS)
    for scene_class in CLASSES.values():
        found |= {scene_class.name, scene_class.plural, scene_class.kind}
    rng = np.random.default_rng(0)
    for i in range(3000):
        document = raster_document(rng, 4) if i % 2 else sentence_document(rng)
        found |= set(pieces(document.context))
        draw = document.imagined.asker().drawing(rng, document.without)
        for _ in range(4):
            asked = draw()
            assert asked is not None
            found |= set(pieces(f"{asked.question} {asked.answer}"))
    return [*SPECIAL, *sorted(found)]


def make_tokenizer(words: Words) -> PreTrainedTokenizerFast:
    """Build the word-level tokenizer: one token for each word and punctuation mark.

    Words are kept as they are written, so that "Yes" is one token. Decoding joins words with
    spaces, with none before a mark.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(words.numbers, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.WordPiece(prefix="##", cleanup=True), decoders.Replace(" :", ":")]
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", words.bos)]
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
