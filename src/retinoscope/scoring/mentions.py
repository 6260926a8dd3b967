"""CHAIR (arXiv 1809.02156): which things a caption names, and which of them are not there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from retinoscope.tasks import word_forms


@dataclass(frozen=True)
class Mentions:
    """The things that one caption names, each once.

    Attributes:
        right: those that the image holds.
        wrong: those that it does not: hallucinated.
        missed: things of the image that the caption does not name.
    """

    right: tuple[str, ...]
    wrong: tuple[str, ...]
    missed: tuple[str, ...]


def mentions(text: str, present: Sequence[str], classes: Sequence[str]) -> Mentions:
    """Compare a caption with what an image holds.

    A thing is named by a whole word, its plural or a synonym; in "teddy bear" no bear is named, as
    the longest names come first. A word that also stands for something present is no hallucination.

    Args:
        text: the caption.
        present: classes of the image's objects.
        classes: every class of the data.
    """
    named = _named(text, classes)
    here = {*present}
    words = {form for name in here for form in word_forms(name)}
    right = tuple(name for name in classes if name in named and name in here)
    wrong = tuple(
        name for name in classes if name in named and name not in here and not named[name] & words
    )
    missed = tuple(name for name in classes if name in here and name not in named)
    return Mentions(right, wrong, missed)


def _named(text: str, classes: Sequence[str]) -> dict[str, set[str]]:
    """Each class that a text names, with the words that name it."""
    by_form: dict[str, list[str]] = {}
    for name in classes:
        for form in word_forms(name):
            by_form.setdefault(form, []).append(name)
    if not by_form:
        return {}
    longest = sorted(by_form, key=len, reverse=True)
    pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)"
    found: dict[str, set[str]] = {}
    for match in re.finditer(pattern, text.lower()):
        for name in by_form[match[0]]:
            found.setdefault(name, set()).add(match[0])
    return found
