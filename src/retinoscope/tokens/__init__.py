"""Positions in the language model's sequence: which are visual, and sets of them."""

from retinoscope.tokens.layout import TokenLayout, VisualSpan
from retinoscope.tokens.tokenset import TokenSet, at, last, row, text, under, visual

__all__ = [
    "TokenLayout",
    "TokenSet",
    "VisualSpan",
    "at",
    "last",
    "row",
    "text",
    "under",
    "visual",
]
