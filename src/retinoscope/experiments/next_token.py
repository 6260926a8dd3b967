"""The questions that the next token answers, under many conditions, as logit differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retinoscope.engine import answer, look
from retinoscope.experiments.contrast import contrast
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target
from retinoscope.interventions import Condition
from retinoscope.models import Checkpoint
from retinoscope.tasks import Query, queries_of


@dataclass(frozen=True)
class Answered:
    """One question under every condition, the clean run first.

    Attributes:
        query: the question.
        right: whether the likeliest next token is a right one, of each condition.
        differences: logit of the right token less that of the best wrong one, both chosen on the
            clean run, of each condition.
    """

    query: Query
    right: tuple[bool, ...]
    differences: tuple[float, ...]


def answered(
    checkpoint: Checkpoint, target: Target, settings: Settings, conditions: Sequence[Condition]
) -> tuple[list[Answered], list[tuple[str, str]]]:
    """Ask every question of the settings' tasks that the next token answers, controls aside.

    Questions about one image share what a condition does to the image.

    Args:
        checkpoint: the model.
        target: the object.
        settings: the tasks, and how they are worded.
        conditions: the first is the clean run, ().

    Returns:
        The questions answered; and those that can't be asked, as (task, reason).

    Raises:
        SampleError: no token is right, or none is left to be wrong.
        InterventionError: a condition can't be applied.
    """
    asked, unasked = queries_of(
        *(settings.tasks, target, checkpoint.tokenizer), always_a=settings.protocol.always_a
    )
    queries = [one for one in asked if not (one.written or one.control) and one.right]
    recordings = [look(checkpoint, target.image, q.question, prefix=q.prefix) for q in queries]
    responses = answer([(recording, conditions) for recording in recordings])
    found: list[Answered] = []
    for query, response in zip(queries, responses, strict=True):
        logits = response.outcome.logits
        differences = contrast(logits[0], query.right).difference(logits).tolist()
        right = [token in query.right for token in logits.argmax(-1).tolist()]
        found.append(Answered(query, tuple(right), tuple(differences)))
    return found, [(one.task, one.reason) for one in unasked]
