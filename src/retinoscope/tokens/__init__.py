"""Positions in the language model's sequence: which are visual, and sets of them."""

from retinoscope.tokens.choice import Chosen, as_positions
from retinoscope.tokens.layout import TokenLayout, VisualSpan
from retinoscope.tokens.medium import Medium, OfImage, OfVideo
from retinoscope.tokens.placed import by_medium, held, of_image, of_video, only, patch, row, under
from retinoscope.tokens.tokenset import TokenSet, at, last, text, visual
from retinoscope.tokens.words import word

__all__ = [
    "Chosen",
    "Medium",
    "OfImage",
    "OfVideo",
    "TokenLayout",
    "TokenSet",
    "VisualSpan",
    "as_positions",
    "at",
    "by_medium",
    "held",
    "last",
    "of_image",
    "of_video",
    "only",
    "patch",
    "row",
    "text",
    "under",
    "visual",
    "word",
]
