"""What drives the refinement: interventions on sublayers and heads, read by lens and answers.

Open question 1 of the paper. Every intervention acts at visual positions alone; the lens reads the
object's patches, and the same interventions stand in force while questions about it are answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution import logit_attribution
from retinoscope.engine import Recording, changed_streams, look
from retinoscope.errors import InterventionError, ModelError, SelectionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.drivers.outputs import components, other_images
from retinoscope.experiments.drivers.records import (
    DriverAnswerRecord,
    DriverRecord,
    DriverShareRecord,
)
from retinoscope.experiments.drivers.sources import source_trials
from retinoscope.experiments.drivers.trials import CLEAN, Trial, component_trials
from retinoscope.experiments.next_token import answered
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.target import Target, random_source, skip
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import Record
from retinoscope.tasks import first_tokens
from retinoscope.tasks.describe import QUESTION
from retinoscope.tokens import TokenSet


def measure(bench: Bench[OwnSettings], target: Target) -> list[Record]:
    """The drivers of one object's word.

    Raises:
        SampleError, SelectionError, TokenMapError: this object can't be measured.
        ModelError, InterventionError: this model can't be.
    """
    recording = look(bench.checkpoint, target.image, QUESTION)
    tokens = object_tokens(recording.layout, target.mask, bench.settings)
    words = first_tokens(bench.checkpoint.tokenizer, [target.class_name])
    if not words:
        raise SelectionError(f"The tokenizer can't spell {target.class_name!r}.")
    trials, missing = _trials(bench, target, recording, tokens)
    lens = _lens(recording, target, tokens, trials, set(words))
    shares, headless = _shares(recording, target, tokens, words[0], _best_place(lens))
    answers, unasked = _answers(bench, target, [trial for trial in trials if trial.asked])
    missing += headless + unasked
    return [*lens, *answers, *shares, *(skip("drivers", target, *one) for one in missing)]


def _trials(
    bench: Bench[OwnSettings], target: Target, recording: Recording, tokens: TokenSet
) -> tuple[list[Trial], list[tuple[str, str]]]:
    chosen, absent = components(recording)
    image_id, settings = target.sample.image_id, bench.settings
    drawn = random_source(settings.seed, target.annotation.object_id, "drivers")
    made, missing = component_trials(
        *(recording, tokens, chosen, other_images(bench), image_id),
        seed=int(drawn.integers(2**30)),
    )
    sources, unread = source_trials(recording, tokens)
    reason = "what it makes can't be told from the rest of its layer"
    missing += [(f"{part} {layer}", reason) for part, layer in absent]
    return [CLEAN, *made, *sources], missing + unread


def _lens(
    recording: Recording,
    target: Target,
    tokens: TokenSet,
    trials: Sequence[Trial],
    words: set[int],
) -> list[DriverRecord]:
    """How many of the object's patches read as its word, at every place under every trial."""
    positions = sorted(tokens)
    clean = torch.stack([recording.residual(at)[positions] for at in _places(recording)])

    def named(stream: Float[Tensor, "places patches width"]) -> list[int]:
        top = recording.unembed(stream).argmax(-1).cpu().numpy()
        return np.isin(top, list(words)).sum(-1).tolist()

    found: list[DriverRecord] = []
    streams = changed_streams(recording, [trial.condition for trial in trials], positions)
    for index, stream in sorted(streams, key=lambda one: one[0]):
        trial = trials[index]
        alone = None if trial.moved is None else named(direct(clean, trial.moved))
        found += [
            DriverRecord(
                image_id=target.sample.image_id,
                object_id=target.annotation.object_id,
                class_name=target.class_name,
                part=trial.part,
                layer=trial.layer,
                head=trial.head,
                value=trial.value,
                region=trial.region,
                place=place,
                patches=len(positions),
                named=count,
                direct=None if alone is None else alone[place],
            )
            for place, count in enumerate(named(stream))
        ]
    return found


def _places(recording: Recording) -> range:
    return range(recording.layer_count + 1)


def direct(
    clean: Float[Tensor, "places patches width"],
    moved: Mapping[int, Float[Tensor, "patches width"]],
) -> Float[Tensor, "places patches width"]:
    """The stream where all but what is replaced is added as on the clean run: it is a sum.

    Args:
        clean: the clean run's, at every place.
        moved: by layer what its replaced sublayers add more than on the clean run.
    """
    changed = clean.clone()
    for layer, change in moved.items():
        changed[layer + 1 :] += change
    return changed


def _best_place(lens: Sequence[DriverRecord]) -> int:
    """Where most patches of the clean run name the object: the earliest such place."""
    clean = [one for one in lens if one.part == "none"]
    return max(clean, key=lambda one: (one.named, -one.place)).place


def _answers(
    bench: Bench[OwnSettings], target: Target, trials: Sequence[Trial]
) -> tuple[list[DriverAnswerRecord], list[tuple[str, str]]]:
    """The answers to every question that the next token answers, under every trial."""
    conditions = [trial.condition for trial in trials]
    questions, unasked = answered(bench.checkpoint, target, bench.settings, conditions)
    found: list[DriverAnswerRecord] = []
    for one in questions:
        found += [
            DriverAnswerRecord(
                image_id=target.sample.image_id,
                object_id=target.annotation.object_id,
                class_name=target.class_name,
                task=one.query.task,
                prompt=one.query.question,
                part=trial.part,
                layer=trial.layer,
                head=trial.head,
                value=trial.value,
                region=trial.region,
                right=one.right[index],
                right_clean=one.right[0],
                difference=one.differences[index],
                difference_clean=one.differences[0],
            )
            for index, trial in enumerate(trials)
        ]
    return found, unasked


def _shares(
    recording: Recording, target: Target, tokens: TokenSet, word: int, best: int
) -> tuple[list[DriverShareRecord], list[tuple[str, str]]]:
    """The word's logit shared out over parts, behind all layers and where it is read best."""
    found: list[DriverShareRecord] = []
    missing: list[tuple[str, str]] = []
    for read_at, place in (("last", recording.layer_count), ("best", best)):
        try:
            shared = logit_attribution(recording, word, sorted(tokens), layer=place)
        except (ModelError, InterventionError) as error:
            return [], [("logit attribution", str(error))]
        rows = shared.frame().group_by("part", "layer", "head", maintain_order=True).mean()
        parts = [*rows.select("part", "layer", "head", "logit").iter_rows()]
        parts.append(("logit", None, None, float(shared.logit.mean())))
        missing = [(f"heads of layer {at}", why) for at, why in shared.headless.items()]
        found += [
            DriverShareRecord(
                image_id=target.sample.image_id,
                object_id=target.annotation.object_id,
                class_name=target.class_name,
                read_at=read_at,
                place=place,
                part=part,
                layer=-1 if layer is None else layer,
                head=-1 if head is None else head,
                logit=logit,
            )
            for part, layer, head, logit in parts
        ]
    return found, missing
