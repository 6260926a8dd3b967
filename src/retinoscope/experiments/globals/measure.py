"""Global features of one image: what its background says, which tokens stand out, what is needed.

Necessity (a kind of tokens is replaced) and sufficiency (all others are) for several tasks, each
beside as many tokens at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from retinoscope.data import Sample, load_image
from retinoscope.engine import Recording, Response, answer, look
from retinoscope.engine.edits.checks import Checked
from retinoscope.errors import InterventionError, SampleError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.contrast import contrast
from retinoscope.experiments.description import told
from retinoscope.experiments.globals.probing import probed
from retinoscope.experiments.globals.reading import erased_run, far, other_samples, read, words
from retinoscope.experiments.globals.records import GlobalRecord, TypeRecord
from retinoscope.experiments.globals.themes import theme_in, theme_query, themes_said
from retinoscope.experiments.globals.trials import Trial, read_elsewhere, sets_of, trials
from retinoscope.experiments.globals.types import Kinds, kinds
from retinoscope.experiments.objects import Scene, scene_of
from retinoscope.experiments.placing import count_query, position_query, where_query
from retinoscope.experiments.target import Target, skip
from retinoscope.models import Checkpoint
from retinoscope.models.visual_tokens import visual_tokens
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import Record
from retinoscope.tasks import Query, describe, queries_of, score_next, score_text
from retinoscope.tokens import TokenSet, visual


def measure(bench: Bench[OwnSettings], target: Target) -> list[Record]:
    """What the image's background holds, and what answers about the object need.

    Raises:
        SampleError, SelectionError, TokenMapError: this object can't be measured.
        ModelError: this model can't be.
    """
    own = target.annotation.object_id
    recording = look(bench.checkpoint, target.image, describe(target.class_name).question)
    scene, unusable = scene_of(recording, target.sample, bench.settings)
    if own not in scene.things:
        raise SampleError(next(reason for one, reason in unusable if one == own))
    skipped = [(f"object {one}", reason) for one, reason in unusable]
    others = other_samples(target, bench.candidates, bench.settings.seed)
    wanted = words(target.sample, others, bench.categories, bench.checkpoint.tokenizer)
    erased, whole = erased_run(recording, target, scene)
    read_rows, unread = read(recording, erased, target, scene, wanted, bench.settings)
    found = kinds(recording)
    sets = sets_of(scene, scene.tokens[own], found)
    skipped += [*whole, *unread, *found.unknown]
    other = _tokens_of(others, bench.checkpoint, len(visual(recording.layout)))
    if other is None:
        skipped.append(("other image", "no other image has as many visual tokens"))
    patching, reason = _patching(recording, erased, scene)
    skipped += [("read as without objects", reason)] if reason else []
    given = [*trials(recording, sets, own, bench.settings, other, erased=patching)]
    answered, unasked = _answers(bench, target, scene, given)
    probe_rows, unprobed = probed(bench, target, scene, (recording, erased), given, others)
    types = [_type(target, name, sets[name], scene, found) for name in sets]
    skips = [skip("globals", target, *one) for one in skipped + unasked + unprobed]
    return [*answered, *read_rows, *types, *probe_rows, *skips]


def _patching(
    recording: Recording, erased: Recording | None, scene: Scene
) -> tuple[Recording | None, str]:
    """The erased run, where text can read the background as in it; else None, and why."""
    if erased is None:
        return None, "there is no image with the objects erased"
    if recording.fallback is not None:
        return None, f"attention can't be patched here: {recording.fallback}"
    if not recording.causal:
        return None, "what the image's tokens hold depends on the question here"
    try:
        Checked(recording).edits((read_elsewhere(scene.background, erased),))
    except InterventionError as error:
        return None, str(error)
    return erased, ""


def _tokens_of(
    samples: Sequence[Sample], checkpoint: Checkpoint, count: int
) -> Float[Tensor, "visual width"] | None:
    """The visual tokens of the first image that can be read and has so many."""
    for sample in samples:
        try:
            tokens = visual_tokens(checkpoint, load_image(sample))
        except SampleError:
            continue  # What can't be read is skipped by name where it is measured itself.
        if len(tokens) == count:
            return tokens
    return None


def _queries(bench: Bench[OwnSettings], target: Target, scene: Scene) -> Iterator[Query]:
    """What is asked about the object, and about one that is not there."""
    tokenizer, tasks = bench.checkpoint.tokenizer, bench.settings.tasks
    thing = scene.things[target.annotation.object_id]
    things = [*scene.things.values()]
    count = sum(one.class_name == thing.class_name for one in things)
    asked, _ = queries_of([one for one in tasks if one != "ask"], target, tokenizer)
    yield from asked
    made = (
        position_query(thing, things, tokenizer) if "ask" in tasks else None,
        where_query(thing, things, tokenizer),
        count_query(thing.class_name, count, tokenizer),
    )
    yield from (query for query in made if query is not None)


def _theme(bench: Bench[OwnSettings], target: Target) -> Query:
    """What is asked about the whole image; an error says why nothing is."""
    theme = theme_in(target.sample, np.array(target.image))
    return theme_query(theme, target.class_name, themes_said(bench), bench.checkpoint.tokenizer)


def _answers(
    bench: Bench[OwnSettings], target: Target, scene: Scene, given: Sequence[Trial]
) -> tuple[list[GlobalRecord], list[tuple[str, str]]]:
    """Every question under every trial; and those that have no right answer in this vocabulary."""
    asked: list[tuple[Query, Recording, list[Trial]]] = []
    skipped: list[tuple[str, str]] = []
    queries = [*_queries(bench, target, scene)]
    try:
        queries.append(_theme(bench, target))
    except SampleError as error:
        skipped.append(("theme", str(error)))
    for query in queries:
        if not query.written and not query.right:
            skipped.append((query.task, "the tokenizer can't spell a right answer"))
            continue
        room = bench.settings.max_new_tokens if query.written else 0
        recording = look(
            *(bench.checkpoint, target.image, query.question),
            prefix=query.prefix,
            max_new_tokens=room,
        )
        fitting = [trial for trial in given if trial.described or not query.written]
        asked.append((query, recording, fitting))
    responses = answer(
        [(recording, [(), *(t.condition for t in some)]) for _, recording, some in asked]
    )
    found: list[GlobalRecord] = []
    for (query, _, some), response in zip(asked, responses, strict=True):
        found += _records(query, some, response, target, scene, bench.checkpoint)
    return found, skipped


def _records(
    query: Query,
    some: Sequence[Trial],
    response: Response,
    target: Target,
    scene: Scene,
    checkpoint: Checkpoint,
) -> list[GlobalRecord]:
    """The clean run, then each trial."""
    outcomes = _outcomes(query, response, checkpoint)
    _, clean_right, clean_ld = outcomes[0]
    everything = len(visual(scene.tokens[target.annotation.object_id].layout))
    clean = Trial("none", "", False, 0, ())
    return [
        GlobalRecord(
            image_id=target.sample.image_id,
            object_id=target.annotation.object_id,
            class_name=query.class_name,
            task=query.task,
            prompt=query.question,
            token_type=trial.token_type,
            mode=trial.mode,
            random=trial.random,
            tokens=trial.tokens,
            visual=everything,
            answer=text,
            right=right,
            ld=ld,
            clean_right=clean_right,
            clean_ld=clean_ld,
        )
        for trial, (text, right, ld) in zip([clean, *some], outcomes, strict=True)
    ]


def _outcomes(
    query: Query, response: Response, checkpoint: Checkpoint
) -> list[tuple[str, bool, float | None]]:
    """Answer, whether it is right, and its logit difference; of the clean run first."""
    if query.written:
        texts = [(one, checkpoint.text(one.tokens)) for one in response.generations]
        return [(told(checkpoint, one), score_text(query, text).right, None) for one, text in texts]
    logits = response.outcome.logits
    pair = contrast(logits[0], query.right)
    scores = [score_next(query, row, checkpoint.tokenizer) for row in logits]
    return [
        (score.answer, score.right, float(pair.difference(row)))
        for score, row in zip(scores, logits, strict=True)
    ]


def _type(target: Target, name: str, tokens: TokenSet, scene: Scene, found: Kinds) -> TypeRecord:
    everything = list(visual(tokens.layout))
    places = [place for place, p in enumerate(everything) if p in tokens]
    attention = found.attention
    return TypeRecord(
        image_id=target.sample.image_id,
        object_id=target.annotation.object_id,
        token_type=name,
        tokens=len(tokens),
        visual=len(everything),
        on_objects=len(tokens - scene.background),
        far=len(tokens & far(scene)),
        norm=float(np.mean(found.norm[places].numpy())) if places else None,
        attention=(
            float(np.mean(attention[places].numpy())) if places and attention is not None else None
        ),
    )
