"""The page over many lens pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retinoscope.report.examples import thumbnail
from retinoscope.report.templating import fill
from retinoscope.report.visible import visible
from retinoscope.results.sheet import LensSheet


@dataclass(frozen=True)
class BestLayer:
    """Where an object's word is strongest.

    Attributes:
        class_name: the object's class, a tracked word.
        layer: the layer with the highest mean probability of the word over the object's tokens.
        probability: that mean, 0 to 1.
        layers: the number of layers.
    """

    class_name: str
    layer: int
    probability: float
    layers: int


def lens_index_page(sheets: Mapping[str, LensSheet], title: str) -> str:
    """The index as HTML: a picture, the question and answer, each object's best layer.

    Args:
        sheets: file stem -> sheet; pages `<stem>.html` are linked.
        title: the page's title.
    """
    entries = [
        {
            "link": f"{stem}.html",
            "title": visible(sheet.title),
            "condition": visible(sheet.condition),
            "compared": "@" in stem and stem.partition("@")[0] in sheets,
            "prompt": visible(sheet.prompt, lines=True),
            "answer": visible(sheet.answer, lines=True),
            "picture": thumbnail(sheet.image, 280),
            "classes": sorted({visible(outline.class_name) for outline in sheet.objects}),
            "best": best_layers(sheet),
        }
        for stem, sheet in sheets.items()
    ]
    return fill(
        "lens-index.html",
        scripts=("theme.js", "lens-index.js"),
        styles=("base.css", "lens-index.css"),
        title=visible(title),
        entries=entries,
        models=sorted({visible(sheet.model) for sheet in sheets.values()}),
    )


def best_layers(sheet: LensSheet) -> list[BestLayer]:
    """Of every object whose class word is tracked, the layer at which its tokens say it most."""
    found = []
    for outline in sheet.objects:
        if outline.class_name not in sheet.tracked or not outline.tokens:
            continue
        word = sheet.tracked.index(outline.class_name)
        curve = np.exp(sheet.tracked_log_probability[word][:, list(outline.tokens)]).mean(1)
        layer = int(curve.argmax())
        found.append(BestLayer(visible(outline.class_name), layer, float(curve[layer]), len(curve)))
    return found
