"""Scoring: what the answers under each ablation say, of the text and of the next token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from retinoscope.engine import Response
from retinoscope.experiments.ablation.prompts import Prompted
from retinoscope.experiments.description import told
from retinoscope.models import Checkpoint
from retinoscope.tasks import Score, score_next, score_text


def scores(checkpoint: Checkpoint, one: Prompted, responses: Sequence[Response]) -> list[Score]:
    """The clean run's score and each trial's: of the text where there is one, and of the probe."""
    guesses: list[Score] = []
    if one.probe is not None:
        rows = responses[-1].outcome.logits
        guesses = [score_next(one.probe, row, checkpoint.tokenizer) for row in rows]
    if not one.query.written:
        return guesses
    found = [
        replace(score_text(one.query, checkpoint.text(text.tokens)), answer=told(checkpoint, text))
        for text in responses[0].generations
    ]
    if not guesses:
        return found
    return [
        replace(guess, answer=text.answer, right=text.right, right_original=text.right_original)
        for text, guess in zip(found, guesses, strict=True)
    ]
