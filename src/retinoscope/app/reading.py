"""Reading a run: what a selection decodes to, layer by layer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from retinoscope.api import Lens, View
from retinoscope.app.requests import Read
from retinoscope.app.session import Session, chosen_tokens, find_view
from retinoscope.app.writing import Say, finite, word
from retinoscope.errors import SelectionError

WORDS = 5
"""Words of each layer that are shown."""


@dataclass(frozen=True)
class LayerWord:
    """A word of one layer.

    Attributes:
        word: its text.
        share: of one patch, the word's probability; of several, the share of patches whose
            likeliest word it is. 0 to 1.
    """

    word: str
    share: float


@dataclass(frozen=True)
class LensRead:
    """What a selection decodes to.

    Attributes:
        patches: how many were read.
        layers: the words of each layer, 0 being the input of the first decoder layer.
        entropy: the patches' mean entropy at each layer, in nats.
    """

    patches: int
    layers: list[list[LayerWord]]
    entropy: list[float | None]


def read(session: Session, request: Read, say: Say) -> LensRead:
    """A lens over the selected patches.

    Raises:
        SelectionError: no such patches, or no such lens.
    """
    view = find_view(session, request.prompt, say)
    tokens = chosen_tokens(view, request.patches)
    if request.lens and request.lens not in session.lenses:
        raise SelectionError(
            f"There is no lens {request.lens!r} here; `retinoscope lens fit KIND` fits one, and "
            "the explorer knows it after a restart."
        )
    by = session.lenses[request.lens].lens(view.recording) if request.lens else None
    say("Reading every layer")
    known = None if by is None else by.words(0)
    most = len(view.recording.logits) if known is None else len(known)
    lens = view.lens(tokens, k=min(WORDS, most), by=by)
    layers = _single(view, lens) if len(tokens) == 1 else _several(view, lens)
    # Where a lens has no words of its own it reads nothing.
    silent = [by is not None and by.words(place) == () for place in range(len(layers))]
    layers = [[] if empty else layer for layer, empty in zip(layers, silent, strict=True)]
    entropy = [
        None if empty else finite(value)
        for value, empty in zip(lens.reading.entropy.mean(-1).tolist(), silent, strict=True)
    ]
    return LensRead(len(tokens), layers, entropy)


def _single(view: View, lens: Lens) -> list[list[LayerWord]]:
    reading = lens.reading
    return [
        [LayerWord(word(view, t), p) for t, p in zip(ids, shares, strict=True)]
        for ids, shares in zip(
            reading.ids[:, 0].tolist(), reading.probabilities[:, 0].tolist(), strict=True
        )
    ]


def _several(view: View, lens: Lens) -> list[list[LayerWord]]:
    best = lens.reading.ids[..., 0].tolist()
    return [
        [
            LayerWord(word(view, token), count / len(layer))
            for token, count in Counter(layer).most_common(WORDS)
        ]
        for layer in best
    ]
