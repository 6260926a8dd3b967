"""`retinoscope look`: an answer word by word, and which patches and heads made chosen words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from retinoscope.api import VLM, Explained, View
from retinoscope.errors import InterventionError, ModelError, SelectionError
from retinoscope.experiments import Settings
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.target import Target
from retinoscope.interventions import Ablate
from retinoscope.models import Checkpoint
from retinoscope.models.prompt import DESCRIBE
from retinoscope.tasks.words import word_forms
from retinoscope.tokens import TokenSet

STRONGEST = 3
"""Patches and heads that are named."""


@dataclass(frozen=True)
class SaidWord:
    """A token of the clean answer; probabilities of 0 to 1, behind the clean answer before it.

    Attributes:
        place: in the answer, from 0.
        word: its text.
        probability: in the clean run.
        without: with the object's tokens replaced.
    """

    place: int
    word: str
    probability: float
    without: float


@dataclass(frozen=True)
class MadeWord:
    """What a token of the answer rests on.

    Attributes:
        place, word: as in `SaidWord`.
        gradient_x_input, integrated_gradients: what the object's patches add to its logit, and
            what all patches do.
        patches: (row, column) of the strongest by integrated gradients, counted from 0.
        attention: the mean share of attention on the object's patches, 0 to 1.
        heads: (layer, head, share) of the heads that look most at them.
    """

    place: int
    word: str
    gradient_x_input: tuple[float, float]
    integrated_gradients: tuple[float, float]
    patches: tuple[tuple[int, int], ...]
    attention: float
    heads: tuple[tuple[int, int, float], ...]


@dataclass(frozen=True)
class AnswerWords:
    """An answer word by word.

    Attributes:
        question: what was asked.
        said: every token of the clean answer.
        made: what the chosen words rest on.
        note: why a part could not be measured; "" where all was.
    """

    question: str
    said: Sequence[SaidWord]
    made: Sequence[MadeWord]
    note: str = ""

    def tables(self, name: str, stand_in: str) -> list[Table]:
        """The same for people."""
        said = [_said_table(self.said, self.question, stand_in)] if self.said else []
        return [*said, _made_table(self.made, name)] if self.made else said


def answer_words(
    checkpoint: Checkpoint, target: Target, settings: Settings, words: str
) -> AnswerWords:
    """The target's question, or its image's description, word by word.

    Args:
        checkpoint: the model.
        target: the object.
        settings: what stands in the place of its tokens (the mean, or else zero; the last buffer).
        words: of the clean answer, comma-separated; without any the object's name, its plural or
            a synonym, whichever the answer holds.

    Raises:
        SelectionError: the answer does not hold a word that is asked for.
    """
    question = target.question or DESCRIBE
    view = VLM(checkpoint).look(target.image, question, max_new_tokens=settings.max_new_tokens)
    tokens = object_tokens(view.recording.layout, target.mask, settings)
    grown = tokens.dilate(settings.buffers[-1])
    stand_in = "mean" if settings.values[0] == "mean" else "zero"
    said: list[SaidWord] = []
    try:
        forced = view.teacher_forced([(), Ablate(grown, stand_in)])
        rows = zip(forced.words, *forced.probability.tolist(), strict=True)
        said = [SaidWord(place, *row) for place, row in enumerate(rows)]
        asked = [word.strip() for word in words.split(",") if word.strip()]
        chosen = asked or _named(view, target.class_name)
        places = view.explain(*chosen).places if chosen else ()
        return AnswerWords(question, said, [_made(view, view.explain(p), tokens) for p in places])
    except (ModelError, InterventionError) as error:
        return AnswerWords(question, said, [], f"Not measured word by word: {error}")


def _named(view: View, name: str) -> list[str]:
    """The form of a name that the clean answer holds, if any."""
    for form in word_forms(name):
        try:
            view.explain(form)
        except SelectionError:
            continue
        return [form]
    return []


def _made(view: View, one: Explained, tokens: TokenSet) -> MadeWord:
    here = [index for index, p in enumerate(view.recording.layout.visual) if p in tokens]
    slopes, (integral,) = one.gradient_x_input().values, one.integrated_gradients()
    frame = integral.frame().sort("score", descending=True).head(STRONGEST)
    attention = one.attention()
    shares = attention.to(sorted(tokens))
    order = shares.nan_to_num(-1).flatten().argsort(descending=True)[:STRONGEST].tolist()
    heads = [(*divmod(index, shares.shape[1]), float(shares.flatten()[index])) for index in order]
    return MadeWord(
        place=one.places[0],
        word=one.words[0],
        gradient_x_input=(float(slopes[here].sum()), float(slopes.sum())),
        integrated_gradients=(float(integral.values[here].sum()), float(integral.values.sum())),
        patches=tuple(frame["row", "column"].iter_rows()),
        attention=float(attention.map()[sorted(tokens)].sum()),
        heads=tuple(heads),
    )


def _said_table(said: Sequence[SaidWord], question: str, stand_in: str) -> Table:
    """The words in a row each; those that lose more than half are red."""
    title = f"{question}\nWord by word, with and without the object (by {stand_in})"
    table = Table("word", "P clean", "P without", title=title, title_justify="left")
    for one in said:
        style = "red" if one.without < one.probability / 2 else ""
        cells = (one.word.strip(), f"{one.probability:.3f}", f"{one.without:.3f}")
        table.add_row(*(Text(cell, style) for cell in cells))
    return table


def _made_table(made: Sequence[MadeWord], name: str) -> Table:
    """What each word rests on: a row for each reading."""
    title = f"What made these words: of the {name}'s patches, and of all"
    table = Table("", *(one.word.strip() for one in made), title=title, title_justify="left")
    rows = {
        "gradient x input, logits": [_pair(one.gradient_x_input) for one in made],
        "integrated gradients, logits": [_pair(one.integrated_gradients) for one in made],
        "strongest patches (row, column)": ["\n".join(map(str, one.patches)) for one in made],
        "attention on the object": [f"{100 * one.attention:.1f} %" for one in made],
        "heads that look there most": [
            "\n".join(f"layer {i} head {h}: {100 * s:.0f} %" for i, h, s in one.heads)
            for one in made
        ],
    }
    for label, cells in rows.items():
        table.add_row(label, *map(Text, cells))
    return table


def _pair(found: tuple[float, float]) -> str:
    return f"{found[0]:+.2f} of {found[1]:+.2f}"
