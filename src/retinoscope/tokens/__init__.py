"""Positions in the language model's sequence: which are visual, and sets of them."""

from retinoscope.tokens.choice import Chosen, as_positions
from retinoscope.tokens.layout import TokenLayout, VisualSpan
from retinoscope.tokens.tokenset import TokenSet, at, last, row, text, under, visual
from retinoscope.tokens.words import word

__all__ = [
    "Chosen",
    "TokenLayout",
    "TokenSet",
    "VisualSpan",
    "as_positions",
    "at",
    "last",
    "row",
    "text",
    "under",
    "visual",
    "word",
]
