"""The logit lens over some tokens of a view, as words, data frames and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from retinoscope.api.scores import NOT_SEEN, media_columns
from retinoscope.api.words import Texts, Word, checked_count, described
from retinoscope.brief import brief
from retinoscope.engine import Recording
from retinoscope.errors import SelectionError
from retinoscope.experiments.lens.sheets import read_sheet
from retinoscope.experiments.montage import montage
from retinoscope.experiments.outline import selected
from retinoscope.interventions import Condition
from retinoscope.lens import FittedLens, LensReading, StateLens, read_changed
from retinoscope.report.lens_page import lens_page
from retinoscope.report.showing import HEIGHT, Shown, show

if TYPE_CHECKING:
    from retinoscope.api.view import View


def as_state_lens(recording: Recording, by: FittedLens | StateLens | None) -> StateLens | None:
    """What reads the states of a run; None is the logit lens.

    Raises:
        SelectionError: it is no lens.
        ModelError: it was fitted on another model.
    """
    given: object = by
    if isinstance(given, type) or not isinstance(given, FittedLens | StateLens | None):
        raise SelectionError(
            "by is a lens, such as retinoscope.lens.read_fitted(path), or None for the logit lens; "
            f"got {brief(given)}."
        )
    return by.lens(recording) if isinstance(by, FittedLens) else by


@dataclass(frozen=True, eq=False)
class Lens:
    """The logit lens over some tokens of a view.

    Attributes:
        reading: the numbers.
        view: the view that was read.
        condition: the interventions in force; () is the clean run.
        by: what reads the states; None is the logit lens.
    """

    reading: LensReading
    view: View
    condition: Condition = ()
    by: StateLens | None = None

    def __repr__(self) -> str:
        layers, tokens, k = self.reading.ids.shape
        kind = f"{self.by.kind} lens, " if self.by else ""
        changed = f", under {described(self.condition)}" if self.condition else ""
        return f"Lens({kind}{layers} layers of {tokens} tokens, {k} words each{changed})"

    def top(self, k: int = 5) -> list[list[list[str]]]:
        """The k likeliest words of every layer and token: `top(5)[layer][token]`.

        More words than were read are read now.

        Raises:
            SelectionError: k is not from 1 to the size of the vocabulary.
        """
        return [[[word.text for word in token] for token in layer] for layer in self.words(k)]

    def words(self, k: int = 5) -> list[list[list[Word]]]:
        """The k likeliest words with their probabilities: `words(5)[layer][token][rank]`.

        Raises:
            SelectionError: k is not from 1 to the size of the vocabulary.
        """
        reading, texts = self._with(k), Texts(self.view.recording)
        ids, shares = reading.ids[..., :k].tolist(), reading.probabilities[..., :k].tolist()
        return [
            [
                [Word(texts(i), p, i) for i, p in zip(*one, strict=True)]
                for one in zip(*layer, strict=True)
            ]
            for layer in zip(ids, shares, strict=True)
        ]

    def frame(self, k: int = 5) -> pl.DataFrame:
        """The k likeliest words of every layer and token, a row for each.

        Columns: layer (0 is the input of the first decoder layer), position, patch (the index
        among the visual tokens), the image, or the video and its first frame, that it is of (all
        null for text), rank (from 0), word, probability, token, and the
        entropy of the whole distribution in nats. `.to_pandas()` makes a pandas frame of it.
        """
        seen = media_columns(self.view.recording.layout)
        entropy, positions = self.reading.entropy.tolist(), self.reading.positions
        rows = [
            (layer, position, *seen.get(position, NOT_SEEN), rank, *word, entropy[layer][index])
            for layer, found in enumerate(self.words(k))
            for index, (position, words) in enumerate(zip(positions, found, strict=True))
            for rank, word in enumerate(words)
        ]
        columns = (
            "layer position patch image video frame rank word probability token entropy".split()
        )
        return pl.DataFrame(rows, columns, orient="row", infer_schema_length=None)

    def tracked(self) -> pl.DataFrame:
        """The words that were followed (`view.lens(..., track=["dog"])`) through every layer.

        Columns: word, token, layer, position, rank (0 is the likeliest) and probability.
        """
        reading, texts = self.reading, Texts(self.view.recording)
        shares, ranks = reading.log_probability.exp().tolist(), reading.rank.tolist()
        rows = [
            (texts(token), token, layer, position, ranks[t][layer][n], shares[t][layer][n])
            for t, token in enumerate(reading.tracked)
            for layer in range(len(reading.ids))
            for n, position in enumerate(reading.positions)
        ]
        columns = "word token layer position rank probability".split()
        return pl.DataFrame(rows, columns, orient="row")

    def show(self, *words: str, height: int = HEIGHT) -> Shown:
        """The interactive lens page of every image and frame, with the read tokens outlined.

        In a notebook the returned value, last in its cell, is the page itself; elsewhere a browser
        opens on a temporary file (`.path`), which is written even where there is no browser.
        Under interventions it compares with the clean run, side by side.

        Args:
            words: words to follow exactly at every patch and layer.
            height: of the page in a notebook, in CSS pixels.

        Raises:
            ModelError: the model's states can't be unembedded.
            SelectionError: the prompt holds no image.
        """
        return show(self._page(words), height=height)

    def save(self, path: str | Path, *words: str) -> Path:
        """Write the same page to a file that opens from disk, and show nothing.

        Args:
            path: the file, `lens.html`.
            words: words to follow exactly at every patch and layer.

        Raises:
            ModelError, SelectionError: see `show`.
        """
        return Shown(self._page(words)).save(path)

    def _page(self, words: Sequence[str]) -> str:
        """The page as HTML."""
        recording, positions = self.view.recording, self.reading.positions
        layout = recording.layout
        shown = montage(layout, self.view.prompt)
        whole = len(positions) == len(layout.visual)
        objects = [] if whole else [selected(shown, layout, positions)]
        conditions: dict[str, Condition] = {"clean": ()}
        if self.condition:
            conditions["changed"] = self.condition
        title = f"{self.by.kind.capitalize()} lens" if self.by else "Logit lens"
        sheets = [
            read_sheet(recording, title, shown, words, objects, condition, name, self.by)
            for name, condition in conditions.items()
        ]
        return lens_page(*sheets)

    def _with(self, k: int) -> LensReading:
        """The reading, with at least k words."""
        reading, recording = self.reading, self.view.recording
        if checked_count(k, recording.logits.shape[-1]) <= reading.ids.shape[-1]:
            return reading
        return read_changed(recording, self.condition, reading.positions, k=k, lens=self.by)
