"""Reasoning: parts of a question, laws of its conditions, and verdicts on planted records."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import product
from typing import Any

import polars as pl
import pytest
import torch

from retinoscope.data import Question, Step, arranged_scenes
from retinoscope.engine import evaluate
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.reasoning.asking import Item, ask, one_less, others_of, questions_of
from retinoscope.experiments.reasoning.measure import asked_places, measure
from retinoscope.experiments.reasoning.parts import parts_of
from retinoscope.experiments.reasoning.records import ReadingRecord, ReasoningRecord
from retinoscope.experiments.reasoning.tables import ablations_table, half_layer, order_table
from retinoscope.experiments.reasoning.verdict import reasoning
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target, read_target
from retinoscope.interventions import Knockout, Patch
from retinoscope.models import load
from retinoscope.models.mean import mean_token, with_mean_token
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import SkippedRecord
from retinoscope.tokens import last

LAYERS = 4


@pytest.fixture(scope="module")
def bench() -> Bench[OwnSettings]:
    dataset = arranged_scenes("rows", 6)
    checkpoint = load("embedded")
    images = [read_target(s, s.annotations[0], (), Settings()).image for s in dataset.samples[:2]]
    mean = mean_token(checkpoint, images)
    return Bench(
        with_mean_token(checkpoint, mean), dataset.categories, (), Settings(), OwnSettings()
    )


@pytest.fixture(scope="module")
def targets(bench: Bench[OwnSettings]) -> list[Target]:
    return [
        read_target(sample, annotation, bench.categories, bench.settings)
        for sample in arranged_scenes("rows", 6).samples
        for annotation in sample.annotations
    ]


@pytest.fixture(scope="module")
def pair(bench: Bench[OwnSettings], targets: list[Target]) -> tuple[Item, Item]:
    """Two questions of one kind about one image that differ in what they name alone."""
    for target in targets:
        for question in questions_of(target, 0):
            item = ask(bench, target, question)
            other = next(others_of(item, bench), None)
            if item.clean_right and other is not None:
                return item, other
    pytest.fail("no two questions of one kind with as many tokens")


def test_the_parts_of_a_hop_are_the_things_that_its_steps_arrive_at(
    targets: list[Target],
) -> None:
    sample = targets[0].sample
    ids = [one.object_id for one in sample.annotations]
    steps = (
        Step("select", "dog", (ids[0],)),
        Step("relate", "directly left of", (ids[1],), (0,)),
        Step("relate", "directly above", (ids[2],), (1,)),
        Step("query", "name", (ids[2],), (2,)),
    )
    parts = parts_of(sample, Question("?", "It is a cat.", "cat", steps=steps))
    assert (parts.anchor, parts.between, parts.answer) == ((ids[0],), (ids[1],), (ids[2],))
    assert set(parts.rest) == set(ids[3:])
    counting = (Step("select", "dog", tuple(ids[:2])), Step("count", "", tuple(ids[:2]), (0,)))
    counted = parts_of(sample, Question("?", "Two", "Two", kind="count", steps=counting))
    assert (counted.anchor, counted.answer) == (tuple(ids[:2]), ())
    assert not Question("?", "It is a cat.", "cat", steps=steps[:1]).stepwise


def test_one_less_than_a_count_is_spelled_as_the_count_is(
    bench: Bench[OwnSettings], pair: tuple[Item, Item]
) -> None:
    steps = (Step("select", "dog", (1, 2)), Step("count", "", (1, 2), (0,)))
    counted = replace(pair[0], question=Question("?", "Two", "Two", kind="count", steps=steps))
    tokenizer = bench.checkpoint.tokenizer
    assert {tokenizer.decode([token]).strip() for token in one_less(counted, bench)} == {"One"}
    assert one_less(pair[0], bench) == ()


def test_no_token_belongs_to_two_things(pair: tuple[Item, Item]) -> None:
    sets = list(pair[0].tokens.values())
    assert sum(map(len, sets)) == len(frozenset().union(*(one.positions for one in sets)))


def test_all_that_a_question_names_swapped_at_the_embeddings_is_the_other_question(
    pair: tuple[Item, Item],
) -> None:
    item, other = pair
    places = asked_places(item, other)
    states = other.recording.residual(0)
    every = places["asked word"]
    swap = Patch(every, 0, states[sorted(every)])
    found = evaluate(item.recording, [(swap,)]).logits[0]
    torch.testing.assert_close(found, other.recording.logits, atol=1e-4, rtol=1e-4)
    end = item.recording.layer_count
    final = Patch(places["last"], end, other.recording.residual(end)[sorted(places["last"])])
    found = evaluate(item.recording, [(final,)]).logits[0]
    torch.testing.assert_close(found, other.recording.logits, atol=1e-4, rtol=1e-4)


def test_what_is_measured_is_what_each_condition_does_alone(
    bench: Bench[OwnSettings], pair: tuple[Item, Item]
) -> None:
    item = pair[0]
    records = [one for one in measure(bench, item.target) if isinstance(one, ReasoningRecord)]
    mine = [one for one in records if one.question == item.question.text]
    clean, *others = mine
    assert clean.test == "clean"
    assert clean.difference == clean.clean_difference
    assert {one.test for one in others} >= {"ablate", "cut", "swap"}
    deepest = item.recording.layer_count - 1
    cuts = {(one.place, one.span, one.layer): one for one in others if one.test == "cut"}
    for place in {place for place, _, _ in cuts}:
        from_last, at_last = (cuts[place, span, deepest] for span in ("from", "at"))
        assert from_last.difference == pytest.approx(at_last.difference, abs=1e-5)
    layout = item.recording.encoded.layout
    alone = (Knockout(last(layout), item.prompt, range(item.recording.layer_count)),)
    logits = evaluate(item.recording, [alone]).logits[0]
    expected = float(item.contrast.difference(logits))
    assert cuts["question → last", "from", 0].difference == pytest.approx(expected, abs=1e-4)


def test_an_object_without_questions_is_skipped_and_told(
    bench: Bench[OwnSettings], targets: list[Target]
) -> None:
    silent = replace(targets[0], sample=replace(targets[0].sample, questions=()))
    (skipped,) = measure(bench, silent)
    assert isinstance(skipped, SkippedRecord)
    assert "arranged:rows" in skipped.reason


def _record(item: int, test: str, place: str = "", **fields: Any) -> dict[str, Any]:
    record = ReasoningRecord(
        image_id=item,
        object_id=item,
        kind="chain",
        question=f"question {item}",
        word="dog",
        test=test,
        place=place,
        layer=-1,
        span="",
        tokens=1,
        difference=4.0,
        clean_difference=4.0,
        right=True,
        clean_right=True,
        predicted=None,
    )
    return asdict(replace(record, **fields))


def _planted(needed: set[str], last_layers: tuple[int, int], count: int = 20) -> pl.DataFrame:
    """A model whose answers need some parts, and read two things up to certain layers."""
    rows = []
    for item in range(count):
        rows.append(_record(item, "clean"))
        for place in ("anchor", "between", "answer", "distractor"):
            lost = {"right": False, "difference": -1.0} if place in needed else {}
            rows.append(_record(item, "ablate", place, **lost))
        paths = ("anchor → question", "answer → last")
        for (path, until), layer in product(zip(paths, last_layers, strict=True), range(LAYERS)):
            lost = {"right": False, "difference": -1.0} if layer <= until else {}
            rows.append(_record(item, "cut", path, layer=layer, span="from", **lost))
    return pl.DataFrame(rows, infer_schema_length=None)


def test_a_planted_model_that_goes_step_by_step_is_found() -> None:
    records = _planted({"anchor", "between", "answer"}, (0, 2))
    verdict = reasoning(records, order_table(records))
    assert verdict.outcome == "held"
    (row,) = order_table(records).filter(kind="all").to_dicts()
    assert (row["first"], row["second"], row["later"]) == (0, 2, 2)


@pytest.mark.parametrize(
    ("needed", "layers"),
    [
        ({"anchor", "answer"}, (0, 2)),
        ({"between", "answer"}, (0, 2)),
        ({"anchor", "between", "answer"}, (2, 2)),
    ],
    ids=["skips a step", "ignores what is named", "reads both at once"],
)
def test_a_planted_shortcut_is_no_reasoning(needed: set[str], layers: tuple[int, int]) -> None:
    records = _planted(needed, layers)
    assert reasoning(records, order_table(records)).outcome == "did not hold"


def test_three_questions_are_too_few_to_judge() -> None:
    records = _planted({"anchor", "between", "answer"}, (0, 2), count=3)
    assert "too few" in reasoning(records, order_table(records)).outcome


def test_a_model_that_is_never_right_shows_nothing() -> None:
    wrong = [_record(i, "clean", right=False, clean_right=False) for i in range(20)]
    records = pl.DataFrame(wrong, infer_schema_length=None)
    assert not ablations_table(records).height
    assert reasoning(records, order_table(records)).outcome == "not measured"


def test_a_path_that_carries_nothing_has_no_layer() -> None:
    records = _planted(set(), (-1, 1))
    nothing = records.filter((pl.col("place") == "anchor → question") & (pl.col("image_id") == 0))
    something = records.filter((pl.col("place") == "answer → last") & (pl.col("image_id") == 0))
    assert half_layer(nothing) is None
    assert half_layer(something) == 1


def test_records_are_plain_rows() -> None:
    assert all(
        field.type in {"int", "str", "float", "bool", "bool | None"}
        for kind in (ReasoningRecord, ReadingRecord)
        for field in kind.__dataclass_fields__.values()
    )
