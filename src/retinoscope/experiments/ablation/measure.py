"""Localisation: does the model still identify an object whose tokens say nothing?

Paper, section 3: the visual tokens on an object, with a buffer or not, are replaced by the mean
visual token; so are register tokens, random ones and those with the highest integrated gradients.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image
from torch import Tensor

from retinoscope.data import load_image
from retinoscope.data.selection import Pair
from retinoscope.engine import Recording, Response, answer, look
from retinoscope.errors import SampleError
from retinoscope.experiments.ablation.records import AblationRecord
from retinoscope.experiments.ablation.trials import Trial, Trials, common_trials, gradient_trials
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.description import description, told, until_settled
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.subject import Subject
from retinoscope.models import Checkpoint
from retinoscope.models.mean import visual_tokens
from retinoscope.results.indices import indices_text
from retinoscope.results.records import Record, SkippedRecord
from retinoscope.tasks import (
    Query,
    Score,
    first_tokens,
    queries_of,
    score_next,
    score_text,
)
from retinoscope.tasks.words import first_mention


@dataclass(frozen=True, eq=False)
class _Prompted:
    """One task, its prompts recorded.

    Attributes:
        query: the task.
        recording: the clean run of its prompt; with max_new_tokens where it is answered by a text.
        probe: what scores the next token: the task itself, or for a description the question for
            the object's word, right where the clean text names it; None where it does not.
        probed: the clean run of the probe's prompt.
    """

    query: Query
    recording: Recording
    probe: Query | None
    probed: Recording


def measure(bench: Bench, subject: Subject) -> list[Record]:
    """The ablation of one object, with the next readable image for "resampled" tokens."""
    other = donor(subject, bench.pairs)
    records, skipped = ablation(bench.checkpoint, subject, other, bench.settings)
    return [*records, *skipped]


def donor(subject: Subject, pairs: Sequence[Pair]) -> Image.Image | None:
    """The next candidate's image that can be read, for "resampled" tokens; None without one."""
    for sample, _ in _after(subject, pairs):
        if sample.image_id == subject.sample.image_id:
            continue
        try:
            return load_image(sample)
        except SampleError:
            continue
    return None


def _after(subject: Subject, pairs: Sequence[Pair]) -> Iterator[Pair]:
    place = next(
        (i for i, (_, a) in enumerate(pairs) if a.object_id == subject.annotation.object_id), 0
    )
    yield from (*pairs[place + 1 :], *pairs[:place])


def ablation(
    checkpoint: Checkpoint, subject: Subject, donor: Image.Image | None, settings: Settings
) -> tuple[list[AblationRecord], list[SkippedRecord]]:
    """Measure every selection, value and task on one curated object.

    All tasks are answered at once, so that what an ablation does to the image is computed once.

    Args:
        checkpoint: the model; its mean visual token must be known where "mean" is among the values.
        subject: the object.
        donor: another image, whose tokens stand in for "resampled"; None where there is none.
        settings: selections, values and tasks.

    Returns:
        The records, the clean run of each task first, and what could not be measured and why.

    Raises:
        SampleError, SelectionError, TokenMapError: this object can't be measured.
        InterventionError, ModelError: this model can't be.
    """
    queries, unasked = queries_of(
        *(settings.tasks, subject, checkpoint.tokenizer), always_a=settings.protocol.always_a
    )
    skipped = [_skip(subject, one.task, one.reason) for one in unasked]
    prompted = [_prompt(checkpoint, subject, q, settings, skipped) for q in queries]
    donated = visual_tokens(checkpoint, donor) if donor is not None else None
    planned = list(_planned(prompted, subject, donated, settings))
    for one, trials in zip(prompted, planned, strict=True):
        task = one.query.task
        skipped += [_skip(subject, f"{task}: {m.condition}", m.reason) for m in trials.missing]
    asked = [
        (recording, [(), *(trial.condition for trial in trials.ready)])
        for one, trials in zip(prompted, planned, strict=True)
        for recording in _recordings(one)
    ]
    stop = until_settled(checkpoint, subject.class_name)
    responses = iter(answer(asked, stop=stop))
    records: list[AblationRecord] = []
    for one, trials in zip(prompted, planned, strict=True):
        scores = _scores(checkpoint, one, [next(responses) for _ in _recordings(one)])
        records += [
            _record(subject, one.query, trial, score)
            for trial, score in zip((None, *trials.ready), scores, strict=True)
        ]
    return records, skipped


def _prompt(
    checkpoint: Checkpoint,
    subject: Subject,
    query: Query,
    settings: Settings,
    skipped: list[SkippedRecord],
) -> _Prompted:
    if not query.written:
        recording = look(checkpoint, subject.image, query.question, prefix=query.prefix)
        return _Prompted(query, recording, query, recording)
    max_new_tokens = settings.max_new_tokens
    recording = look(checkpoint, subject.image, query.question, max_new_tokens=max_new_tokens)
    clean = description(recording, subject.class_name)
    probe = _mention(checkpoint, query, checkpoint.text(clean.tokens))
    if probe is None:
        reason = "the clean description does not name the object"
        skipped.append(_skip(subject, f"{query.task}: probability", reason))
        return _Prompted(query, recording, None, recording)
    probed = look(checkpoint, subject.image, query.question, prefix=probe.prefix)
    return _Prompted(query, recording, probe, probed)


def _recordings(one: _Prompted) -> list[Recording]:
    """The recordings that are answered: the task's own, and the probe's where it is another."""
    return [one.recording] if one.probed is one.recording else [one.recording, one.probed]


def _mention(checkpoint: Checkpoint, query: Query, clean: str) -> Query | None:
    """The query for the object's word, right where the clean description names it."""
    span = first_mention(clean, query.class_name)
    if span is None:
        return None
    right = first_tokens(checkpoint.tokenizer, [clean[span[0] : span[1]]])
    if not right:
        return None
    return Query(query.task, query.class_name, query.question, clean[: span[0]].rstrip(), right)


def _planned(
    prompted: Sequence[_Prompted], subject: Subject, donated: Tensor | None, settings: Settings
) -> Iterator[Trials]:
    """The trials of each task; tasks share those that are alike, as the same conditions."""
    common: dict[tuple[int, ...], Trials] = {}
    for one in prompted:
        visual = one.probed.encoded.layout.visual
        if visual not in common:
            common[visual] = common_trials(one.probed, subject, donated, settings)
        trials = common[visual]
        if one.query.control:
            first = settings.values[0]
            yield Trials(tuple(t for t in trials.ready if t.controls and t.value == first))
        else:
            query = one.probe or one.query
            yield trials + gradient_trials(one.probed, subject, query, donated, settings)


def _scores(checkpoint: Checkpoint, one: _Prompted, responses: Sequence[Response]) -> list[Score]:
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


def _record(subject: Subject, query: Query, trial: Trial | None, score: Score) -> AblationRecord:
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
        indices=_indices(trial) if trial else "",
    )


def _indices(trial: Trial) -> str:
    """The replaced tokens by their places among the visual ones."""
    tokens = trial.selection.tokens
    return indices_text(bisect_left(tokens.layout.visual, position) for position in tokens)


def _skip(subject: Subject, condition: str, reason: str) -> SkippedRecord:
    return SkippedRecord(
        "ablation", subject.sample.image_id, subject.annotation.object_id, condition, reason
    )
