"""Localisation: does the model still identify an object whose tokens say nothing?

Paper, section 3: the visual tokens on an object, with a buffer or not, are replaced by the mean
visual token; so are register tokens, random ones and those with the highest integrated gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from retinoscope.engine import Recording, evaluate, generate, look
from retinoscope.experiments.ranking import gradient_ranking
from retinoscope.experiments.selections import (
    Missing,
    Selection,
    gradient_selections,
    noise_seed,
    object_selections,
    object_tokens,
    random_selections,
    register_selection,
)
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.subject import Subject
from retinoscope.interventions import Ablate, Condition, Noise
from retinoscope.models import Checkpoint
from retinoscope.models.mean import visual_tokens
from retinoscope.results.records import AblationRecord, SkippedRecord
from retinoscope.tasks import (
    Query,
    Score,
    ask,
    describe,
    first_tokens,
    poll,
    score_next,
    score_text,
)
from retinoscope.tasks.words import first_mention

CONTROL_SELECTIONS = ("object", "object+1")
"""The "no" control is measured with these and their matched random sets."""


@dataclass(frozen=True, eq=False)
class _Trial:
    """One ablation of one recording: the selection, the kind of value, and the condition."""

    selection: Selection
    value: str
    condition: Condition


def ablation(
    checkpoint: Checkpoint, subject: Subject, donor: Image.Image, settings: Settings
) -> tuple[list[AblationRecord], list[SkippedRecord]]:
    """Measure every selection, value and task on one curated object.

    Args:
        checkpoint: the model; its mean visual token must be known where "mean" is among the values.
        subject: the object.
        donor: another image, whose tokens stand in for "resampled".
        settings: selections, values and tasks.

    Returns:
        The records, the clean run of each task first, and what could not be measured and why.

    Raises:
        SelectionError, InterventionError, ModelError, TokenMapError: the object can't be measured.
    """
    donated = visual_tokens(checkpoint, donor)
    records: list[AblationRecord] = []
    skipped: list[SkippedRecord] = []
    for query in _queries(checkpoint, subject, settings, skipped):
        if query.task == "describe":
            _measure_description(checkpoint, subject, query, donated, settings, records, skipped)
        else:
            _measure_next(checkpoint, subject, query, donated, settings, records, skipped)
    return records, skipped


def _queries(
    checkpoint: Checkpoint, subject: Subject, settings: Settings, skipped: list[SkippedRecord]
) -> list[Query]:
    name, tokenizer = subject.class_name, checkpoint.tokenizer
    queries: list[Query] = []
    if "describe" in settings.tasks:
        queries.append(describe(name))
    if "poll" in settings.tasks:
        queries.append(poll(name, tokenizer))
        if subject.absent:
            queries.append(poll(subject.absent, tokenizer, present=False))
        else:
            skipped.append(_skip(subject, "poll-absent", "the image holds every class"))
    if "ask" in settings.tasks:
        if subject.question:
            queries.append(ask(name, subject.question, tokenizer))
        else:
            skipped.append(_skip(subject, "ask", "no question has this object as its only answer"))
    return queries


def _measure_next(
    checkpoint: Checkpoint,
    subject: Subject,
    query: Query,
    donated: Tensor,
    settings: Settings,
    records: list[AblationRecord],
    skipped: list[SkippedRecord],
) -> None:
    """A task that is scored by the next token: poll and ask."""
    recording = look(checkpoint, subject.image, query.question, prefix=query.prefix)
    trials, missing = _trials(recording, subject, query, donated, settings)
    skipped += [_skip(subject, f"{query.task}: {m.condition}", m.reason) for m in missing]
    outcome = evaluate(recording, [(), *(trial.condition for trial in trials)])
    scores = [score_next(query, row, checkpoint.tokenizer) for row in outcome.logits]
    records += _records(subject, query, trials, scores)


def _measure_description(
    checkpoint: Checkpoint,
    subject: Subject,
    query: Query,
    donated: Tensor,
    settings: Settings,
    records: list[AblationRecord],
    skipped: list[SkippedRecord],
) -> None:
    """Describe: scored by the generated text, its probability where the clean caption names it."""
    room = settings.caption_length
    recording = look(checkpoint, subject.image, query.question, room=room)
    clean = _text(checkpoint, generate(recording, [()])[0].tokens)
    probe = _mention(checkpoint, query, clean)
    if probe is None:
        reason = "the clean description does not name the object"
        skipped.append(_skip(subject, "describe: probability", reason))
        probe_recording = recording
    else:
        probe_recording = look(checkpoint, subject.image, query.question, prefix=probe.prefix)
    trials, missing = _trials(probe_recording, subject, probe or query, donated, settings)
    skipped += [_skip(subject, f"describe: {m.condition}", m.reason) for m in missing]
    conditions = [trial.condition for trial in trials]
    answers = generate(recording, [(), *conditions])
    texts = [_text(checkpoint, answer.tokens) for answer in answers]
    scores = [score_text(query, text) for text in texts]
    if probe is not None:
        outcome = evaluate(probe_recording, [(), *conditions])
        nexts = [score_next(probe, row, checkpoint.tokenizer) for row in outcome.logits]
        scores = [
            replace(guess, answer=told.answer, right=told.right, right_original=told.right_original)
            for told, guess in zip(scores, nexts, strict=True)
        ]
    records += _records(subject, query, trials, scores)


def _mention(checkpoint: Checkpoint, query: Query, clean: str) -> Query | None:
    """The query for the object's word, right where the clean description names it."""
    span = first_mention(clean, query.class_name)
    if span is None:
        return None
    right = first_tokens(checkpoint.tokenizer, [clean[span[0] : span[1]]])
    if not right:
        return None
    return Query("describe", query.class_name, query.question, clean[: span[0]].rstrip(), right)


def _trials(
    recording: Recording, subject: Subject, query: Query, donated: Tensor, settings: Settings
) -> tuple[list[_Trial], list[Missing]]:
    """Every ablation of one recording, and those that can't be had."""
    layout = recording.encoded.layout
    objects = object_selections(object_tokens(layout, subject.mask, settings), settings)
    drawn = random_selections(objects, subject.annotation.object_id, settings)
    others: list[Selection | Missing] = [register_selection(recording, settings), *drawn]
    if query.task == "poll-absent":
        kept = [s for s in (*objects, *drawn) if _controls(s)]
        values = settings.values[:1]
    else:
        ranked = _gradient_selections(recording, subject, query, objects, settings)
        kept, values = [*objects, *others, *ranked], settings.values
    missing = [s for s in kept if isinstance(s, Missing)]
    trials: list[_Trial] = []
    for selection in kept:
        if isinstance(selection, Missing):
            continue
        for value in values if _every_value(selection) else values[:1]:
            replaced = _ablate(selection, value, donated, subject, settings)
            if isinstance(replaced, Missing):
                missing.append(replaced)
            else:
                trials.append(_Trial(selection, value, (replaced,)))
    return trials, missing


def _controls(selection: Selection | Missing) -> bool:
    if isinstance(selection, Missing):
        return False
    return selection.name in CONTROL_SELECTIONS or selection.matched in CONTROL_SELECTIONS


def _every_value(selection: Selection) -> bool:
    """Object selections and their matched random sets are measured with every value."""
    return selection.name.startswith("object") or (
        selection.name == "random" and bool(selection.matched)
    )


def _gradient_selections(
    recording: Recording,
    subject: Subject,
    query: Query,
    objects: list[Selection],
    settings: Settings,
) -> Sequence[Selection | Missing]:
    """The tokens with the highest integrated gradients."""
    ranked = gradient_ranking(recording, subject, query, settings)
    if isinstance(ranked, Missing):
        return [ranked]
    return gradient_selections(ranked, objects, settings)


def _ablate(
    selection: Selection, value: str, donated: Tensor, subject: Subject, settings: Settings
) -> Ablate | Missing:
    tokens = selection.tokens
    match value:
        case "mean" | "zero":
            return Ablate(tokens, value)
        case "noise":
            return Ablate(
                tokens, Noise(noise_seed(selection, subject.annotation.object_id, settings))
            )
        case "resampled":
            visual = tokens.layout.visual
            if len(donated) != len(visual):
                reason = f"the other image has {len(donated)} visual tokens, this one {len(visual)}"
                return Missing(f"{selection.name} resampled", reason)
            index = {position: i for i, position in enumerate(visual)}
            return Ablate(tokens, donated[torch.tensor([index[p] for p in tokens])])
        case other:
            return Missing(f"{selection.name} {other}", f"{other!r} is not a known value")


def _records(
    subject: Subject, query: Query, trials: Sequence[_Trial], scores: Sequence[Score]
) -> list[AblationRecord]:
    """The clean run's record and each trial's; the scores come in that order."""
    return [
        _record(subject, query, trial, score)
        for trial, score in zip((None, *trials), scores, strict=True)
    ]


def _record(subject: Subject, query: Query, trial: _Trial | None, score: Score) -> AblationRecord:
    return AblationRecord(
        image_id=subject.sample.image_id,
        object_id=subject.annotation.object_id,
        class_name=subject.class_name,
        task=query.task,
        prompt=query.question,
        selection=trial.selection.name if trial else "none",
        matched=trial.selection.matched if trial else "",
        size=trial.selection.size if trial else 0,
        value=trial.value if trial else "",
        tokens=len(trial.selection.tokens) if trial else 0,
        answer=score.answer,
        right=score.right,
        probability=score.probability,
        margin=score.margin,
        right_original=score.right_original,
        top_probability=score.top_probability,
    )


def _text(checkpoint: Checkpoint, tokens: Sequence[int]) -> str:
    return checkpoint.tokenizer.decode(list(tokens), skip_special_tokens=True).strip()


def _skip(subject: Subject, condition: str, reason: str) -> SkippedRecord:
    return SkippedRecord(
        "ablation", subject.sample.image_id, subject.annotation.object_id, condition, reason
    )
