"""The interactive page of one lens sheet, or of two side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retinoscope.errors import RunError
from retinoscope.report.lens_packing import pack
from retinoscope.report.templating import fill, script_json
from retinoscope.report.visible import visible
from retinoscope.results.sheet import LensSheet

_SCRIPTS = (
    "theme.js",
    "lens-data.js",
    "lens-colour.js",
    "lens-image.js",
    "lens-strip.js",
    "lens-fit.js",
    "lens-words.js",
    "lens-page.js",
)


@dataclass(frozen=True)
class Link:
    """A link to another page beside a lens page.

    Attributes:
        text: what it says.
        address: relative to the page.
    """

    text: str
    address: str


def lens_page(
    sheet: LensSheet, other: LensSheet | None = None, *, links: Sequence[Link] = ()
) -> str:
    """The page as HTML, in one file that opens from disk.

    Args:
        sheet: what to show.
        other: the same image under another condition, to compare with.
        links: to the pages it belongs to, in the order in which they are shown.

    Raises:
        RunError: the two sheets don't have the same layers and tokens.
    """
    if other is not None and other.top.shape[:2] != sheet.top.shape[:2]:
        raise RunError(
            f"can't compare {sheet.condition!r} with {other.condition!r} of {sheet.title!r}: "
            f"layers and tokens are {sheet.top.shape[:2]} and {other.top.shape[:2]}. Both sheets "
            "must come from the same image, prompt and model."
        )
    shown = [sheet] if other is None else [sheet, other]
    packed = [pack(each) for each in shown]
    return fill(
        "lens.html",
        scripts=_SCRIPTS,
        styles=("base.css", "lens.css"),
        title=visible(sheet.title),
        prompt=visible(sheet.prompt, lines=True),
        model=visible(sheet.model),
        links=links,
        layers=sheet.top.shape[0],
        panes=[
            {
                "condition": visible(each.condition),
                "answer": visible(each.answer, lines=True),
                "block": block,
            }
            for each, (_, block) in zip(shown, packed, strict=True)
        ],
        headers=script_json([header for header, _ in packed]),
    )
