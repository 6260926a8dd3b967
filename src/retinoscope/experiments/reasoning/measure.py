"""Reasoning, measured: what each step of a question needs, by which path, and where it shows.

The designs of the tests follow Cross-modal information flow (arXiv 2411.18620) for paths, and
interchange of states between minimal pairs (arXiv 2505.22200) for swaps; the two questions of a
pair differ in what they name alone, so that no state comes from another image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from retinoscope.engine import evaluate
from retinoscope.engine.edits.checks import Checked
from retinoscope.errors import InterventionError, SampleError, SelectionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.reasoning.asking import (
    Item,
    ask,
    one_less,
    others_of,
    questions_of,
)
from retinoscope.experiments.reasoning.reading import readings
from retinoscope.experiments.reasoning.records import ReasoningRecord
from retinoscope.experiments.target import Target, random_source, skip
from retinoscope.interventions import Ablate, Condition, Knockout, Patch
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import Record
from retinoscope.tokens import TokenSet, at, last, visual

NO_STEPS = (
    "no question with steps belongs to this object; give data that have them, such as "
    "arranged:rows, gqa:PATH, or vsr:PATH, tallyqa:PATH and whatsup:PATH with COCO's instances "
    "files beside"
)


@dataclass(frozen=True, eq=False)
class Trial:
    """One condition of one question, and what it should make of the answer.

    Attributes:
        test, place, layer, span, tokens: as in ReasoningRecord.
        condition: the interventions.
        predicted: ids of the answer that it predicts; None where it predicts none.
    """

    test: str
    place: str
    tokens: int
    condition: Condition
    layer: int = -1
    span: str = ""
    predicted: tuple[int, ...] | None = None


def measure(bench: Bench[OwnSettings], target: Target) -> Iterator[Record]:
    """Every question with steps that belongs to an object."""
    chosen = questions_of(target, bench.settings.seed)
    if not chosen:
        yield skip("reasoning", target, "", NO_STEPS)
    for question in chosen:
        try:
            item = ask(bench, target, question)
            if item.clean_right:
                # Together, so that a question that breaks off leaves no half behind.
                found = [*_conditions(item, bench), *readings(item, bench)]
            else:
                found = [_record(item, Trial("clean", "", 0, ()), item.recording.logits)]
        except (SampleError, SelectionError) as error:
            yield skip("reasoning", target, question.text, str(error))
        else:
            yield from found


def _conditions(item: Item, bench: Bench[OwnSettings]) -> list[Record]:
    trials = [*_ablations(item, bench), *_cuts(item), *_swaps(item, bench)]
    able: list[Trial] = [Trial("clean", "", 0, ())]
    records: list[Record] = []
    check = Checked(item.recording)
    for trial in trials:
        try:
            check.edits(trial.condition)
        except InterventionError as error:
            name = f"{item.question.text}: {trial.test} {trial.place} {trial.span} {trial.layer}"
            records.append(skip("reasoning", item.target, name, str(error)))
        else:
            able.append(trial)
    logits = evaluate(item.recording, [trial.condition for trial in able]).logits
    found = [_record(item, trial, row) for trial, row in zip(able, logits, strict=True)]
    return [*found, *records]


def _ablations(item: Item, bench: Bench[OwnSettings]) -> Iterator[Trial]:
    """Each part's tokens replaced by the mean; a thing without a part, and as many at random."""
    named = item.parts.named()
    rng = random_source(bench.settings.seed, item.target.annotation.object_id, "distractor")
    rest = [i for i in item.parts.rest if i in item.tokens]
    if rest:
        named["distractor"] = (rest[rng.integers(len(rest))],)
    for place, ids in named.items():
        tokens = item.tokens_of(ids)
        if tokens:
            yield Trial("ablate", place, len(tokens), (Ablate(tokens, "mean"),))
    anchor = item.tokens_of(item.parts.anchor)
    every = item.tokens_of(tuple(item.tokens))
    pool = visual(item.recording.encoded.layout) - every
    if anchor and len(pool) >= len(anchor):
        drawn = pool.draw(len(anchor), bench.settings.seed)
        yield Trial("ablate", "random", len(drawn), (Ablate(drawn, "mean"),))
    fewer, counted = one_less(item, bench), item.parts.anchor
    if fewer and counted:
        gone = item.tokens_of((counted[rng.integers(len(counted))],))
        if gone:
            condition = (Ablate(gone, "mean"),)
            yield Trial("ablate", "one counted", len(gone), condition, predicted=fewer)


def _cuts(item: Item) -> Iterator[Trial]:
    """Every path from tokens to tokens, knocked out from each layer on, and in each layer alone."""
    layout, count = item.recording.encoded.layout, item.recording.layer_count
    groups = {name: item.tokens_of(ids) for name, ids in item.parts.named().items()}
    groups = {name: tokens for name, tokens in groups.items() if tokens}
    ends = {"question": item.prompt, "last": last(layout)}
    paths = [(f"{name} → {end}", groups[name], ends[end]) for name in groups for end in ends]
    paths.append(("question → last", item.prompt, ends["last"]))
    if "anchor" in groups and "answer" in groups:
        paths.append(("anchor → answer", groups["anchor"], groups["answer"]))
    for place, keys, queries in paths:
        reading, read = _readable(keys, queries, causal=item.recording.causal)
        if not reading or not read:
            continue
        spans = [("from", k, range(k, count)) for k in range(count)]
        spans += [("at", k, range(k, k + 1)) for k in range(count)]
        for span, layer, layers in spans:
            cut = (Knockout(reading, read, layers),)
            yield Trial("cut", place, len(read), cut, layer, span)


def _readable(keys: TokenSet, queries: TokenSet, *, causal: bool) -> tuple[TokenSet, TokenSet]:
    """The queries that can read some of the keys, and the keys that some of them can read."""
    if not causal:
        return queries, keys
    reading = at(keys.layout, [q for q in queries if q > min(keys)])
    return reading, at(keys.layout, [k for k in keys if reading and k < max(reading)])


def _swaps(item: Item, bench: Bench[OwnSettings]) -> Iterator[Trial]:
    """States of the same kind of question with another answer, place by place, layer by layer."""
    other = next(others_of(item, bench), None)
    if other is None:
        return
    for place, positions in asked_places(item, other).items():
        for layer in range(item.recording.layer_count + 1):
            states = other.recording.residual(layer)[sorted(positions)]
            swap = (Patch(positions, layer, states),)
            yield Trial("swap", place, len(positions), swap, layer, "at", predicted=other.right)


def asked_places(item: Item, other: Item) -> dict[str, TokenSet]:
    """Where two questions name different things, the other positions between, and the last."""
    layout = item.recording.encoded.layout
    mine, theirs = (one.recording.encoded.inputs["input_ids"][0] for one in (item, other))
    differs = at(layout, [p for p in item.prompt if mine[p] != theirs[p]])
    places = {"asked word": differs, "question": item.prompt - differs, "last": last(layout)}
    return {name: tokens for name, tokens in places.items() if tokens}


def _record(item: Item, trial: Trial, logits: Tensor) -> ReasoningRecord:
    answer = int(logits.argmax())
    return ReasoningRecord(
        image_id=item.target.sample.image_id,
        object_id=item.target.annotation.object_id,
        kind=item.question.kind,
        question=item.question.text,
        word=item.question.word,
        test=trial.test,
        place=trial.place,
        layer=trial.layer,
        span=trial.span,
        tokens=trial.tokens,
        difference=float(item.contrast.difference(logits)),
        clean_difference=float(item.contrast.difference(item.recording.logits)),
        right=answer in item.right,
        clean_right=item.clean_right,
        predicted=None if trial.predicted is None else answer in trial.predicted,
    )
