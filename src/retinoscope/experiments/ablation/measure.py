"""Localisation: does the model still identify an object whose tokens say nothing?

Paper, section 3: the visual tokens on an object, with a buffer or not, are replaced by the mean
visual token; so are register tokens, random ones and those with the highest integrated gradients.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from PIL import Image

from retinoscope.data import load_image
from retinoscope.data.selection import Candidate
from retinoscope.engine import answer
from retinoscope.errors import SampleError
from retinoscope.experiments.ablation.prompts import Prompted, prompted
from retinoscope.experiments.ablation.records import AblationRecord
from retinoscope.experiments.ablation.scoring import scores
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.ablation.trials import Trial, Trials, planned
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.description import until_settled
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target, skip
from retinoscope.models import Checkpoint
from retinoscope.models.visual_tokens import visual_tokens
from retinoscope.results.indices import indices_text
from retinoscope.results.records import Record, SkippedRecord
from retinoscope.tasks import Query, Score, queries_of


def measure(bench: Bench[AblationSettings], target: Target) -> list[Record]:
    """The ablation of one object, with the next readable image for "resampled" tokens."""
    other = donor(target, bench.candidates)
    records, skipped = ablation(bench.checkpoint, target, other, bench.settings, bench.own)
    return [*records, *skipped]


def donor(target: Target, candidates: Sequence[Candidate]) -> Image.Image | None:
    """The next candidate's image that can be read, for "resampled" tokens; None without one."""
    for sample, _ in _after(target, candidates):
        if sample.image_id == target.sample.image_id:
            continue
        try:
            return load_image(sample)
        except SampleError:
            continue
    return None


def _after(target: Target, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    place = next(
        (i for i, (_, a) in enumerate(candidates) if a.object_id == target.annotation.object_id), 0
    )
    yield from (*candidates[place + 1 :], *candidates[:place])


def ablation(
    checkpoint: Checkpoint,
    target: Target,
    donor: Image.Image | None,
    settings: Settings,
    own: AblationSettings,
) -> tuple[list[AblationRecord], list[SkippedRecord]]:
    """Measure every selection, value and task on one curated object.

    All tasks are answered at once, so that what an ablation does to the image is computed once.

    Args:
        checkpoint: the model; its mean visual token must be known where "mean" is among the values.
        target: the object.
        donor: another image, whose tokens stand in for "resampled"; None where there is none.
        settings: buffers, values and tasks.
        own: the other selections.

    Returns:
        The records, the clean run of each task first, and what could not be measured and why.

    Raises:
        SampleError, SelectionError, TokenMapError: this object can't be measured.
        InterventionError, ModelError: this model can't be.
    """
    queries, unasked = queries_of(
        *(settings.tasks, target, checkpoint.tokenizer), always_a=settings.protocol.always_a
    )
    prompts = [prompted(checkpoint, target, query, settings) for query in queries]
    donated = visual_tokens(checkpoint, donor) if donor is not None else None
    trials = list(planned(prompts, target, donated, settings, own))
    asked = [
        (recording, [(), *(trial.condition for trial in those.ready)])
        for one, those in zip(prompts, trials, strict=True)
        for recording in one.recordings
    ]
    responses = iter(answer(asked, stop=until_settled(checkpoint, target.class_name)))
    records: list[AblationRecord] = []
    for one, those in zip(prompts, trials, strict=True):
        found = scores(checkpoint, one, [next(responses) for _ in one.recordings])
        records += [
            _record(target, one.query, trial, score)
            for trial, score in zip((None, *those.ready), found, strict=True)
        ]
    skipped = [skip("ablation", target, one.task, one.reason) for one in unasked]
    return records, [*skipped, *_skips(target, prompts, trials)]


def _skips(
    target: Target, prompts: Sequence[Prompted], trials: Sequence[Trials]
) -> Iterator[SkippedRecord]:
    """What could not be measured of each task: its probe, and selections or values."""
    for one, those in zip(prompts, trials, strict=True):
        task = one.query.task
        if one.probe is None:
            reason = "the clean description does not name the object"
            yield skip("ablation", target, f"{task}: probability", reason)
        for missing in those.missing:
            yield skip("ablation", target, f"{task}: {missing.condition}", missing.reason)


def _record(target: Target, query: Query, trial: Trial | None, score: Score) -> AblationRecord:
    return AblationRecord(
        image_id=target.sample.image_id,
        object_id=target.annotation.object_id,
        class_name=target.class_name,
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
