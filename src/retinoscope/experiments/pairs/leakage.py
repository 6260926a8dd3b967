"""Leakage: what is answered about one object while another's tokens are replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from torch import Tensor

from retinoscope.engine import Recording, Response, answer, look
from retinoscope.errors import SampleError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.contrast import contrast
from retinoscope.experiments.description import told
from retinoscope.experiments.objects import Placed, Scene
from retinoscope.experiments.pairs.records import PairRecord
from retinoscope.experiments.pairs.sets import (
    Replaced,
    apart,
    distance,
    iou,
    other_sets,
    own_sets,
)
from retinoscope.experiments.pairs.settings import PairsSettings
from retinoscope.experiments.placing import count_query, count_tokens, position_query
from retinoscope.experiments.replacing import replaced, values_at_hand
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target, random_source
from retinoscope.interventions import Condition
from retinoscope.models import Checkpoint
from retinoscope.tasks import Query, describe, poll, score_next, score_text

VARIED = ("own+1", "other+1")
"""Sets that are also replaced by a second value, for answers of one token."""

DESCRIBED = ("own+1", "other+1", "background")
"""Sets under which descriptions, which take longest, are asked for."""

Pair = tuple[int, int]
"""Ids of two objects."""


@dataclass(frozen=True, eq=False)
class _Trial:
    """One set replaced by one value; `other` is None for sets of the asked object alone."""

    other: Placed | None
    chosen: Replaced
    value: str
    described: bool
    condition: Condition


@dataclass(frozen=True, eq=False)
class _Unit:
    """One question about one object, recorded, with what it is asked under."""

    thing: Placed
    query: Query
    recording: Recording
    trials: tuple[_Trial, ...]


def chosen_pairs(scene: Scene, seed: int, most: int) -> list[Pair]:
    """Pairs of an image's objects: those of one class first, then overlapping ones, then others.

    Args:
        scene: the image.
        seed: decides among equals.
        most: how many.
    """
    pairs = list(combinations(scene.things, 2))
    order = random_source(seed, min(scene.things, default=0), "pairs").permutation(len(pairs))

    def rank(index: int) -> tuple[bool, bool, int]:
        one, other = (scene.things[i] for i in pairs[index])
        return one.class_name != other.class_name, not iou(one, other), int(order[index])

    return [pairs[i] for i in sorted(range(len(pairs)), key=rank)[:most]]


def leakage(
    bench: Bench[PairsSettings], target: Target, scene: Scene, pairs: Sequence[Pair]
) -> tuple[list[PairRecord], list[tuple[str, str]]]:
    """Ask about each object of each pair while the other's tokens, and its own, are replaced.

    Args:
        bench: the model and the settings.
        target: whose image it is.
        scene: the image's objects with their tokens.
        pairs: ids of objects; each is asked about in its turn.

    Returns:
        The records, each question's clean run first, and (condition, reason) of what could not be
        measured.
    """
    skipped: list[tuple[str, str]] = []
    partners: dict[int, list[int]] = {}
    for one, other in pairs:
        partners.setdefault(one, []).append(other)
        partners.setdefault(other, []).append(one)
    units: list[_Unit] = []
    # A description is about every object: it is recorded once, and so are its conditions.
    recordings: dict[str, Recording] = {}
    for asked, others in partners.items():
        trials, missing = _trials(scene, asked, others, bench.settings)
        skipped += missing
        for query in _queries(scene, asked, bench):
            if query.question not in recordings:
                room = bench.settings.max_new_tokens if query.written else 0
                recordings[query.question] = look(
                    *(bench.checkpoint, target.image, query.question),
                    prefix=query.prefix,
                    max_new_tokens=room,
                )
            fitting = tuple(t for t in trials if not query.written or t.described)
            units.append(_Unit(scene.things[asked], query, recordings[query.question], fitting))
    asked_for = [(u.recording, [(), *(t.condition for t in u.trials)]) for u in units]
    found: list[PairRecord] = []
    for unit, response in zip(units, answer(asked_for), strict=True):
        try:
            found += _records(unit, response, target, scene, bench.checkpoint)
        except SampleError as error:
            skipped.append((f"{unit.query.task}: {unit.thing.class_name}", str(error)))
    return found, skipped


def _queries(scene: Scene, asked: int, bench: Bench[PairsSettings]) -> Iterator[Query]:
    """What is asked about an object: never whether it is there where another of its class is."""
    thing, tokenizer = scene.things[asked], bench.checkpoint.tokenizer
    things = [*scene.things.values()]
    count = Counter(one.class_name for one in things)[thing.class_name]
    tasks = bench.settings.tasks
    if count == 1 and "describe" in tasks:
        yield describe(thing.class_name)
    if count == 1 and "poll" in tasks:
        yield poll(thing.class_name, tokenizer)
    position = position_query(thing, things, tokenizer)
    if position is not None and "ask" in tasks:
        yield position
    number = count_query(thing.class_name, count, tokenizer)
    if number is not None:
        yield number


def _trials(
    scene: Scene, asked: int, others: Sequence[int], settings: Settings
) -> tuple[list[_Trial], list[tuple[str, str]]]:
    """Every set of an asked object and its partners, with every value it is replaced by."""
    found: list[tuple[Placed | None, Replaced]] = [(None, one) for one in own_sets(scene, asked)]
    skipped: list[tuple[str, str]] = []
    for other in others:
        seed = int(random_source(settings.seed, asked, f"background-{other}").integers(2**31))
        for one in other_sets(scene, asked, other, seed):
            if isinstance(one, str):
                skipped.append((f"background for objects {asked} and {other}", one))
            else:
                found.append((scene.things[other], one))
    values = values_at_hand(settings)
    trials = [
        _Trial(
            *(other, one, value, one.name in DESCRIBED and value == values[0]),
            (replaced(one.tokens, value, settings, asked, one.name),),
        )
        for other, one in found
        for value in (values[:2] if one.name in VARIED else values[:1])
    ]
    return trials, skipped


@dataclass(frozen=True)
class _Outcome:
    """One answer: its text, whether it is right, its logit difference; None for a text."""

    answer: str
    right: bool
    ld: float | None
    token: int | None


def _outcomes(unit: _Unit, response: Response, checkpoint: Checkpoint) -> list[_Outcome]:
    """The clean answer and that of each trial."""
    query = unit.query
    if query.written:
        texts = [
            (told(checkpoint, one), checkpoint.text(one.tokens)) for one in response.generations
        ]
        return [_Outcome(shown, score_text(query, text).right, None, None) for shown, text in texts]
    logits: Tensor = response.outcome.logits
    pair = contrast(logits[0], query.right)
    scores = [score_next(query, row, checkpoint.tokenizer) for row in logits]
    return [
        _Outcome(score.answer, score.right, float(pair.difference(row)), int(row.argmax()))
        for score, row in zip(scores, logits, strict=True)
    ]


def _records(
    unit: _Unit, response: Response, target: Target, scene: Scene, checkpoint: Checkpoint
) -> list[PairRecord]:
    clean, *others = _outcomes(unit, response, checkpoint)
    thing = unit.thing
    fixed = PairRecord(
        image_id=target.sample.image_id,
        object_id=target.annotation.object_id,
        asked_id=thing.object_id,
        class_name=thing.class_name,
        other_id=-1,
        other_class="",
        task=unit.query.task,
        prompt=unit.query.question,
        set="none",
        value="",
        tokens=0,
        apart=None,
        iou=None,
        distance=None,
        front="",
        objects=len(scene.things),
        answer=clean.answer,
        right=clean.right,
        ld=clean.ld,
        predicted=None,
        clean_right=clean.right,
        clean_ld=clean.ld,
    )
    fewer = _fewer(unit, scene, checkpoint)
    found = [fixed]
    for trial, outcome in zip(unit.trials, others, strict=True):
        row = replace(
            fixed,
            set=trial.chosen.name,
            value=trial.value,
            tokens=len(trial.chosen.tokens),
            apart=apart(trial.chosen.tokens, thing),
            answer=outcome.answer,
            right=outcome.right,
            ld=outcome.ld,
        )
        if trial.other is not None:
            row = _beside(row, trial.other, thing, target)
            if fewer and trial.other.class_name == thing.class_name:
                row = replace(row, predicted=outcome.token in fewer)
        found.append(row)
    return found


def _beside(row: PairRecord, other: Placed, thing: Placed, target: Target) -> PairRecord:
    """The row with how the pair's objects stand to each other."""
    hides = {
        (one.subject, one.object) for one in target.sample.relations if one.name == "in front of"
    }
    front = "asked" if (thing.object_id, other.object_id) in hides else ""
    front = "other" if (other.object_id, thing.object_id) in hides else front
    return replace(
        row,
        other_id=other.object_id,
        other_class=other.class_name,
        iou=iou(thing, other),
        distance=distance(thing, other),
        front=front,
    )


def _fewer(unit: _Unit, scene: Scene, checkpoint: Checkpoint) -> tuple[int, ...]:
    """Tokens that say one less than there are of a counted class; () where nothing is counted."""
    if unit.query.task != "count":
        return ()
    names = Counter(one.class_name for one in scene.things.values())
    return count_tokens(names[unit.thing.class_name] - 1, checkpoint.tokenizer)
