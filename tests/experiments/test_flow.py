"""The flow experiment finds what is planted, finds nothing in random weights, and adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tiny
import torch
from PIL import Image

from retinoscope.data import Annotation, Sample
from retinoscope.engine import Unreplayable, evaluate, look
from retinoscope.experiments import Settings, Target
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.flow.agreement import agreement_table, block_map, spearman
from retinoscope.experiments.flow.cuts import Unread, groups
from retinoscope.experiments.flow.item import Item, item_of
from retinoscope.experiments.flow.measure import measure, measured
from retinoscope.experiments.flow.records import (
    CONTROLS,
    SCORES,
    FlowBlockRecord,
    FlowCutRecord,
    FlowRecord,
)
from retinoscope.experiments.flow.scoring import mass, ordered
from retinoscope.experiments.flow.settings import FlowSettings
from retinoscope.experiments.flow.tables import areas, cut_table, items, pair_table, score_table
from retinoscope.experiments.flow.verdict import flow_verdict
from retinoscope.interventions import Ablate, Knockout
from retinoscope.models import Checkpoint
from retinoscope.models.checkpoint import find_parts
from retinoscope.models.family import family_of
from retinoscope.report.verdict import NOT_HELD
from retinoscope.results.records import SkippedRecord
from retinoscope.tasks import Query

IMAGES = 6
SETTINGS = Settings(values=("zero", "noise"), buffers=(0,), tasks=("poll",))
OWN = FlowSettings(sizes=(1, 4), probed=2)
"""Two of the six objects are probed."""


def checkpoint_of(model: Any) -> Checkpoint:
    return Checkpoint(
        "tiny", "", {}, model, tiny.processor(), family_of("llava"), find_parts(model)
    )


def targets() -> list[Target]:
    found = []
    for number in range(IMAGES):
        pixels = np.random.default_rng(number).integers(0, 255, (56, 56, 3), dtype=np.uint8)
        mask = np.zeros((56, 56), dtype=bool)
        mask[:28, :28] = True
        annotation = Annotation(number, "dog", 784.0, (0.0, 0.0, 28.0, 28.0), False, b"")
        sample = Sample(number, Path(f"{number}.png"), 56, 56, (annotation,))
        found.append(Target(sample, annotation, Image.fromarray(pixels), mask, "", ""))
    return found


def bench_of(checkpoint: Checkpoint) -> Bench[FlowSettings]:
    candidates = [(target.sample, target.annotation) for target in targets()]
    return Bench(checkpoint, ("dog", "cat"), candidates, SETTINGS, OWN)


def rightly_answered(bench: Bench[FlowSettings], target: Target) -> Item:
    """The question whose right answer is whatever the model says when clean."""
    asked = "Is there a dog in this image ?"
    said = int(look(bench.checkpoint, target.image, asked).logits.argmax())
    return item_of(bench, target, Query("poll", "dog", asked, right=(said,)))


def uniform_reader() -> Any:
    """A model that reads every token alike in its first layer, and does nothing else.

    What a token does to the answer is its value's share of it, by hand; attention knows nothing.
    """
    model = tiny.model()
    for index, layer in enumerate(model.model.language_model.layers):
        layer.self_attn.q_proj.weight.data.zero_()
        layer.mlp.down_proj.weight.data.zero_()
        if index:
            layer.self_attn.o_proj.weight.data.zero_()
    return model


def by_kind(records: Sequence[Any], kind: type) -> pl.DataFrame:
    return pl.DataFrame([asdict(record) for record in records if type(record) is kind])


@pytest.fixture(scope="module")
def planted() -> tuple[list[Item], list[Any]]:
    bench = bench_of(checkpoint_of(uniform_reader()))
    asked = [rightly_answered(bench, target) for target in targets()]
    return asked, [record for item in asked for record in measured(bench, item)]


def area_of(table: pl.DataFrame, score: str) -> dict[str, Any]:
    return table.filter(score=score, direction="deletion", value="zero").row(0, named=True)


def test_planted_values_are_found_and_uniform_attention_tells_nothing(
    planted: tuple[list[Item], list[Any]],
) -> None:
    table = score_table(areas(by_kind(planted[1], FlowRecord)))
    for score in ("attribution patching", "gradient x input"):
        row = area_of(table, score)
        assert row["beyond_random_high"] < -0.05, score
        assert row["p"] < 0.05
    assert area_of(table, "measured alone")["beyond_random"] < -0.05
    row = area_of(table, "raw attention")
    assert row["beyond_random_low"] < 0 < row["beyond_random_high"]
    # Uniform attention lies on the object as chance does; its rollout prefers early positions.
    assert row["mass"] == pytest.approx(4 / 16, abs=1e-5)
    assert area_of(table, "rollout")["beyond_random_high"] > 0
    found = flow_verdict(pair_table(areas(by_kind(planted[1], FlowRecord))), ["poll"], "zero")
    assert found.outcome == NOT_HELD
    assert "not evidence" in found.rule


def test_the_order_measured_alone_is_the_one_worked_out_by_hand(
    planted: tuple[list[Item], list[Any]],
) -> None:
    """Uniform reading: a token's effect is its normed values through the output matrix."""
    for item in planted[0][:3]:
        model: Any = item.recording.checkpoint.model
        layer = model.model.language_model.layers[0]
        tokens = layer.input_layernorm(item.recording.residual(0)[list(item.visual)])
        values = layer.self_attn.v_proj(tokens).unflatten(-1, (2, -1)).repeat_interleave(2, 1)
        written = layer.self_attn.o_proj(values.flatten(1))
        head = model.lm_head.weight
        by_hand = written @ (head[item.contrast.right] - head[item.contrast.wrong])
        # Zeroed tokens have no value; the final norm rescales, which keeps the order nearly.
        effects = item.runs([(Ablate([at], "zero"),) for at in item.visual])
        lost = [item.clean.ld - run.ld for run in effects]
        rho = spearman(by_hand.detach().tolist(), lost)
        assert rho is not None and rho > 0.9


def test_random_weights_give_no_evidence() -> None:
    bench = bench_of(checkpoint_of(tiny.model(seed=3)))
    bench = replace(bench, own=FlowSettings(sizes=(1, 4), probed=0))
    records = [r for t in targets() for r in measured(bench, rightly_answered(bench, t))]
    verdict = flow_verdict(pair_table(areas(by_kind(records, FlowRecord))), ["poll"], "zero")
    assert verdict.outcome == NOT_HELD


def test_everything_promised_is_measured(planted: tuple[list[Item], list[Any]]) -> None:
    asked, records = planted
    rows = by_kind(records, FlowRecord)
    sets = rows.filter(pl.col("direction") != "clean")
    assert {*sets["score"]} == {*SCORES, *CONTROLS}
    one = sets.filter(image_id=0, value="zero", direction="deletion", score="rollout")
    assert one["size"].to_list() == [1, 4]
    other = sets.filter(value="noise")
    assert {*other["score"]} == {"raw attention", "rollout", "random"}
    assert {*sets.filter(direction="insertion")["score"]} == {*SCORES}
    cuts = by_kind(records, FlowCutRecord)
    # This image has no other object; five groups less that, in four layers.
    assert cuts.filter(image_id=0).group_by("queries", "form").len().sort("len")[
        "len"
    ].to_list() == [
        3 * tiny.LAYERS,
        *[4 * tiny.LAYERS] * 3,
    ]
    blocks = by_kind(records, FlowBlockRecord).filter(image_id=0)
    assert blocks.filter(score="ALTI").height == 4
    per_score = blocks.group_by("score").agg(pl.col("mass").sum(), pl.col("tokens").sum())
    assert per_score["mass"].to_list() == pytest.approx([1.0] * per_score.height)
    assert {*per_score["tokens"]} == {16}
    skipped = [record for record in records if isinstance(record, SkippedRecord)]
    assert {record.condition for record in skipped} == {"poll: other objects"}
    counted = items(rows).row(0, named=True)
    assert (counted["asked"], counted["wrong"], counted["images"]) == (IMAGES, 0, IMAGES)
    assert len(asked) == IMAGES


def test_every_row_is_what_its_condition_does(planted: tuple[list[Item], list[Any]]) -> None:
    item = planted[0][0]
    recording = item.recording
    rows = by_kind(planted[1], FlowRecord).filter(image_id=0)
    mask = rows.filter(score="object mask", direction="deletion", value="zero", size=4)
    alone = item.runs([(Ablate(item.tokens, "zero"),)])[0]
    assert len(item.tokens) == 4
    assert mask["ld"][0] == pytest.approx(alone.ld, abs=1e-5)
    assert mask["mass"][0] == 1.0
    kept = rows.filter(score="object mask", direction="insertion", value="zero", size=4)
    everything_else = [p for p in item.visual if p not in item.tokens]
    logits = evaluate(recording, [(Ablate(everything_else, "zero"),)]).logits[0]
    assert kept["ld"][0] == pytest.approx(float(item.contrast.difference(logits)), abs=1e-5)
    cuts = by_kind(planted[1], FlowCutRecord).filter(image_id=0, layer=0, group="object")
    found = {(row["queries"], row["form"]): row for row in cuts.iter_rows(named=True)}
    cut = found["last position", "renormalised"]
    by_knockout = item.runs([(Knockout([recording.length - 1], item.tokens, [0]),)])[0]
    assert cut["ld"] == pytest.approx(by_knockout.ld, abs=1e-5)
    # The last position reads every position alike.
    assert cut["attention"] == pytest.approx(4 / recording.length, abs=1e-5)


def test_weights_kept_takes_a_values_share_away_and_no_more() -> None:
    bench = bench_of(checkpoint_of(tiny.model(attention="eager")))
    item = rightly_answered(bench, targets()[0])
    last, keys = item.recording.length - 1, tuple(item.tokens)
    (run,) = item.runs([(Unread((last,), keys, 1),)])
    seen: dict[str, torch.Tensor] = {}
    model: Any = bench.checkpoint.model
    layer = model.model.language_model.layers[1].self_attn

    def less(module: Any, args: Any, output: Any) -> Any:
        mixed, weights = output
        values = seen["values"].unflatten(-1, (2, -1)).transpose(0, 1).repeat_interleave(2, 0)
        gone = torch.einsum("hk,hkw->hw", weights[0, :, last, list(keys)], values[:, list(keys)])
        mixed = mixed.clone()
        mixed[0, last] -= module.o_proj(gone.flatten())
        return mixed, weights

    def keep(_module: Any, _args: Any, output: Any) -> None:
        seen["values"] = output[0]

    hooks = [layer.v_proj.register_forward_hook(keep), layer.register_forward_hook(less)]
    with torch.no_grad():
        logits = model(**item.recording.encoded.inputs).logits[0, -1]
    for hook in hooks:
        hook.remove()
    assert run.ld == pytest.approx(float(item.contrast.difference(logits)), abs=1e-5)
    assert run.ld != pytest.approx(item.clean.ld, abs=1e-5)


def test_groups_share_out_the_visual_tokens() -> None:
    bench = bench_of(checkpoint_of(tiny.model()))
    item = rightly_answered(bench, targets()[0])
    found, missing = groups(item, SETTINGS)
    assert set(missing) == {"other objects"}
    visual = [p for name in ("object", "near", "far") for p in found[name]]
    assert sorted(visual) == list(item.visual)
    assert min(found["question"]) == max(item.visual) + 1
    assert item.recording.length - 1 not in found["question"]


def test_wrong_answers_are_counted_and_not_measured() -> None:
    bench = bench_of(checkpoint_of(tiny.model()))
    records = measure(bench, targets()[0])
    rows = by_kind(records, FlowRecord)
    assert rows["direction"].to_list() == ["clean"]
    assert not rows["clean_right"][0] and rows["clean_ld"][0] <= 0
    assert items(rows)["wrong"].to_list() == [1]
    assert not areas(rows).height


def test_a_model_that_is_run_whole_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def whole(*args: Any, **options: Any) -> Any:
        return replace(look(*args, **options), replay=Unreplayable("it can't"))

    monkeypatch.setattr("retinoscope.experiments.flow.item.look", whole)
    (record,) = measure(bench_of(checkpoint_of(tiny.model())), targets()[0])
    assert isinstance(record, SkippedRecord) and "it can't" in record.reason


def test_order_and_mass() -> None:
    values = torch.tensor([0.5, -2.0, 3.0, 0.5])
    order = ordered(values, [10, 11, 12, 13], np.random.default_rng(0))
    assert (order[0], order[-1], {*order[1:3]}) == (12, 11, {10, 13})
    assert mass(values, [True, True, False, False]) == pytest.approx(0.5 / 4)
    assert mass(-values.abs(), [True, False, False, False]) is None


def test_agreement_is_within_items(planted: tuple[list[Item], list[Any]]) -> None:
    blocks = by_kind(planted[1], FlowBlockRecord)
    cuts = by_kind(planted[1], FlowCutRecord)
    table = agreement_table(blocks, cuts)
    alone = table.filter(over="blocks", score="measured alone").row(0, named=True)
    assert alone["rho"] > 0.3 and alone["rho_n"] == 2
    assert table.filter(over="layers and groups").height == 1
    one = block_map(blocks)
    assert {*one["image_id"]} == {0} and one.height == 4 * len({*one["score"]})
    lost = cut_table(cuts).filter(pl.col("layer") > 0)
    assert lost["drop"].abs().max() == pytest.approx(0, abs=1e-5)  # They read, and add nothing.
