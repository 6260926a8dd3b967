"""The layer at which an image's patches say most: where a lens page opens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retinoscope.report.visible import visible
from retinoscope.results.sheet import LensSheet

SHORTEST = 4
"""Letters that a word of the answer needs to count: articles are in every answer."""


@dataclass(frozen=True)
class BestLayer:
    """Where a word is strongest.

    Attributes:
        class_name: the word; of an object, its class.
        layer: the layer with the highest mean probability of the word over its tokens.
        probability: that mean, 0 to 1.
        layers: the number of layers.
    """

    class_name: str
    layer: int
    probability: float
    layers: int


def best_layers(sheet: LensSheet) -> list[BestLayer]:
    """Of every object whose class word is tracked, the layer at which its tokens say it most."""
    return [
        _strongest(sheet, outline.class_name, list(outline.tokens))
        for outline in sheet.objects
        if outline.class_name in sheet.tracked and outline.tokens
    ]


def opening(sheet: LensSheet) -> tuple[int, str]:
    """The layer at which a page of the sheet opens, and why in a few words.

    That of the first object's word; without one, of the first tracked word over all tokens; without
    one, the layer at which most tokens decode to a word of the answer (of four letters or more).
    Where none does it is the last layer, and there is no reason.
    """
    every = list(range(sheet.top.shape[1]))
    words = best_layers(sheet) or [_strongest(sheet, word, every) for word in sheet.tracked[:1]]
    if words:
        return words[0].layer, f"{words[0].class_name!r} is strongest"
    said = {word.strip(".,;:!?\"'()").casefold() for word in sheet.answer.split()}
    plain = [word.strip().casefold() for word in sheet.vocabulary]
    told = np.array([len(word) >= SHORTEST and word in said for word in plain])
    counts = told[sheet.top[:, :, 0]].sum(1)
    if not counts.any():
        return len(counts) - 1, ""
    return int(counts.argmax()), "most patches say a word of the answer"


def _strongest(sheet: LensSheet, word: str, tokens: list[int]) -> BestLayer:
    followed = sheet.tracked_log_probability[sheet.tracked.index(word)]
    curve = np.exp(followed[:, tokens]).mean(1)
    layer = int(curve.argmax())
    return BestLayer(visible(word), layer, float(curve[layer]), len(curve))
