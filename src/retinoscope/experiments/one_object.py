"""One object of one image: what the model says with its tokens, without them, and with others."""

from __future__ import annotations

from dataclasses import dataclass, replace

from retinoscope.engine import Recording, evaluate, generate, look
from retinoscope.errors import RunError
from retinoscope.experiments.selections import (
    Missing,
    Selection,
    noise_seed,
    object_selections,
    object_tokens,
    random_selections,
)
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.subject import Subject
from retinoscope.interventions import Ablate, Condition, Noise
from retinoscope.models import Checkpoint
from retinoscope.tasks import Query, Score, queries_of, score_next, score_text


@dataclass(frozen=True)
class Answer:
    """One answer about the object.

    Attributes:
        task: "describe", "poll" or "ask".
        selection: whose tokens were replaced: "none" (the clean run), "object", "object+1", or
            "random" ones, as many as `matched`, drawn outside it.
        matched: for "random": the selection whose size it has; else "".
        tokens: how many tokens were replaced.
        score: the answer as text, whether it is right, and the right token's probability.
    """

    task: str
    selection: str
    matched: str
    tokens: int
    score: Score


def answers(checkpoint: Checkpoint, subject: Subject, settings: Settings) -> list[Answer]:
    """What the model answers when the object's tokens, or as many others, are replaced.

    The heart of the ablation experiment (paper, section 3) for one object: no fixed sizes, no
    registers, no gradients. Tokens are replaced by the first of the settings' values, which can't
    be "resampled" here: there is no other image.

    Args:
        checkpoint: the model; its mean visual token must be known where the value is "mean".
        subject: the object; it is asked about where it has a question.
        settings: buffers, tasks, the value and the seed.

    Raises:
        SelectionError: the object lies outside the part of the image that the model sees.
        SampleError, TokenMapError: the object can't be measured.
        RunError: the first value is "resampled".
        InterventionError, ModelError: this model can't be.
    """
    if settings.values[0] == "resampled":
        raise RunError("There is no other image here to resample; begin values with another.")
    asked, _ = queries_of(
        *(settings.tasks, subject, checkpoint.tokenizer), always_a=settings.protocol.always_a
    )
    found: list[Answer] = []
    for query in (query for query in asked if not query.control):
        task, max_new_tokens = query.task, settings.max_new_tokens if query.written else 0
        recording = look(
            checkpoint,
            subject.image,
            query.question,
            prefix=query.prefix,
            max_new_tokens=max_new_tokens,
        )
        chosen = _selections(recording, subject, settings)
        conditions: list[Condition] = [(), *((_ablate(s, subject, settings),) for s in chosen)]
        clean, *others = _scores(recording, query, conditions)
        found.append(Answer(task, "none", "", 0, clean))
        found += [
            Answer(task, s.name, s.matched, len(s.tokens), score)
            for s, score in zip(chosen, others, strict=True)
        ]
    return found


def _ablate(selection: Selection, subject: Subject, settings: Settings) -> Ablate:
    if settings.values[0] == "noise":
        seed = noise_seed(selection, subject.annotation.object_id, settings)
        return Ablate(selection.tokens, Noise(seed))
    return Ablate(selection.tokens, "zero" if settings.values[0] == "zero" else "mean")


def _selections(recording: Recording, subject: Subject, settings: Settings) -> list[Selection]:
    """The object with each buffer, each followed by its matched random set where there is one."""
    tokens = object_tokens(recording.encoded.layout, subject.mask, settings)
    objects = object_selections(tokens, settings)
    matched = random_selections(objects, subject.annotation.object_id, replace(settings, sizes=()))
    drawn = {s.matched: s for s in matched if not isinstance(s, Missing)}
    return [s for one in objects for s in (one, drawn.get(one.name)) if s is not None]


def _scores(recording: Recording, query: Query, conditions: list[Condition]) -> list[Score]:
    checkpoint = recording.checkpoint
    if not query.written:
        outcome = evaluate(recording, conditions)
        return [score_next(query, row, checkpoint.tokenizer) for row in outcome.logits]
    found = generate(recording, conditions)
    return [score_text(query, checkpoint.text(answer.tokens)) for answer in found]
