"""Tasks: a prompt and its scorer. Describe the image, poll for an object, ask about it."""

from retinoscope.tasks.ask import ask
from retinoscope.tasks.describe import describe
from retinoscope.tasks.poll import poll
from retinoscope.tasks.query import Query, Score, score_next, score_text, settled
from retinoscope.tasks.task import Asked, Task, Unasked, queries_of, tasks
from retinoscope.tasks.vocabulary import check_spelled, first_tokens, piece_tokens, spelled
from retinoscope.tasks.words import article, named, plural, word_forms

__all__ = [
    "Asked",
    "Query",
    "Score",
    "Task",
    "Unasked",
    "article",
    "ask",
    "check_spelled",
    "describe",
    "first_tokens",
    "named",
    "piece_tokens",
    "plural",
    "poll",
    "queries_of",
    "score_next",
    "score_text",
    "settled",
    "spelled",
    "tasks",
    "word_forms",
]
