"""Words of a model as a browser may show them, and numbers as JSON can hold them."""

from __future__ import annotations

import math
from collections.abc import Callable

from retinoscope.api import View
from retinoscope.report.visible import visible
from retinoscope.tasks import spelled

Say = Callable[[str], None]
"""Told what is going on, in a few words."""


def word(view: View, token: int) -> str:
    """One token as text in which nothing is invisible or turns lines round.

    It stays plain text: `<script>` is eight letters, for the page to show as such.
    """
    names = spelled(view.recording.checkpoint.tokenizer)
    return visible(names[token]) if token < len(names) else f"(unused id {token})"


def passage(text: str) -> str:
    """An answer as text, its lines kept."""
    return visible(text, lines=True)


def finite(value: float) -> float | None:
    """The number, or None where JSON has none for it."""
    return value if math.isfinite(value) else None
