"""Tasks: a prompt and its scorer. Describe the image, poll for an object, ask about it."""

from retinoscope.tasks.ask import ask
from retinoscope.tasks.describe import describe
from retinoscope.tasks.poll import poll
from retinoscope.tasks.query import Query, Score, score_next, score_text, settled
from retinoscope.tasks.vocabulary import check_spelled, first_tokens, piece_tokens, spelled
from retinoscope.tasks.words import article, named, plural, word_forms

__all__ = [
    "Query",
    "Score",
    "article",
    "ask",
    "check_spelled",
    "describe",
    "first_tokens",
    "named",
    "piece_tokens",
    "plural",
    "poll",
    "score_next",
    "score_text",
    "settled",
    "spelled",
    "word_forms",
]
