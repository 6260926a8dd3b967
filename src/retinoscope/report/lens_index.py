"""The page over many lens pages."""

from __future__ import annotations

from collections.abc import Mapping

from retinoscope.report.best_layer import best_layers
from retinoscope.report.examples import thumbnail
from retinoscope.report.templating import fill
from retinoscope.report.visible import visible
from retinoscope.results.sheet import LensSheet


def lens_index_page(sheets: Mapping[str, LensSheet], title: str, report: str = "") -> str:
    """The index as HTML: a picture, the question and answer, each object's best layer.

    Args:
        sheets: file stem -> sheet; pages `<stem>.html` are linked.
        title: the page's title.
        report: address of the report that they belong to, or "".
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
        report=report,
        entries=entries,
        models=sorted({visible(sheet.model) for sheet in sheets.values()}),
    )
