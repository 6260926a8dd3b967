"""The drivers find a planted writer of a word, and nothing where nothing was learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from retinoscope.engine import capture, changed_streams, look
from retinoscope.experiments import experiments
from retinoscope.experiments.drivers import outputs as values
from retinoscope.experiments.drivers.measure import direct, measure
from retinoscope.experiments.drivers.records import (
    DriverAnswerRecord,
    DriverRecord,
    DriverShareRecord,
)
from retinoscope.experiments.drivers.report import REPORT
from retinoscope.experiments.drivers.sources import source_trials
from retinoscope.experiments.drivers.trials import component_trials
from retinoscope.experiments.held import Edited
from retinoscope.interventions import Site, Write
from retinoscope.results.protocol import CORRECTED
from retinoscope.results.schema import frame
from retinoscope.tokens import at
from tests.experiments import drivers_model as made
from tests.experiments.spreading_model import spreading
from tests.experiments.tables_alone import results_of

OBJECTS = 12

Frames = dict[str, pl.DataFrame]


def frames(records: Sequence[Any]) -> Frames:
    """The records of one object as those of OBJECTS that are all alike."""
    kinds = (DriverRecord, DriverAnswerRecord, DriverShareRecord)
    found = {}
    for name, kind in zip(experiments()["drivers"].records, kinds, strict=True):
        own = [one for one in records if type(one) is kind]
        rows = [replace(one, image_id=i, object_id=i) for i in range(OBJECTS) for one in own]
        found[name] = pl.DataFrame(rows)
    return found


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    folder = tmp_path_factory.mktemp("planted")
    targets = made.pictures(folder, 9)
    checkpoint = made.planted(folder / "model", targets[0])
    return frames(measure(made.bench(checkpoint, targets), targets[8]))


@pytest.fixture(scope="module")
def unlearnt(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    folder = tmp_path_factory.mktemp("unlearnt")
    bench, target = random_bench(folder)
    return frames(measure(bench, target))


def random_bench(folder: Path) -> tuple[Any, Any]:
    targets = made.pictures(folder, 3)
    return made.bench(made.random_weights(folder / "model"), targets), targets[1]


def judged(records: Frames) -> dict[str, str]:
    tables = REPORT.tables(results_of(records), CORRECTED)
    verdicts = REPORT.verdicts(results_of(records), tables, CORRECTED)
    return {one.name: one.outcome for one in verdicts}


def test_the_planted_writer_is_found_and_no_other(planted: Frames) -> None:
    table = REPORT.tables(results_of(planted), CORRECTED)["drivers"]
    writer = {"part": "mlp", "layer": made.WRITER, "value": "mean", "region": "image"}
    single = table.filter((pl.col("layer") >= 0) & (pl.col("value") == "mean"))
    found = single.filter(**writer).row(0, named=True)
    assert (found["share_clean"], found["share"], found["loss"]) == (1.0, 0.0, 1.0)
    assert found["direct_loss"] == 1.0
    assert (found["fell"], found["rose"]) == (OBJECTS, 0)
    assert found["p"] < found["p_holm"] < 0.01
    assert single.filter(pl.col("loss") != 0).height == 1
    for part in ("attention", "head"):
        assert not (table.filter(part=part)["loss"] != 0).any()
    outcomes = judged(planted)
    assert outcomes["A single driver"] == "held"
    assert outcomes["Refinement in place"] == "held"


def test_the_planted_writer_has_the_share_of_the_logit(planted: Frames) -> None:
    shares = planted["drivers_shares"].filter(pl.col("object_id") == 0, read_at="last")
    whole = shares.filter(part="logit")["logit"].item()
    parts = shares.filter(~pl.col("part").is_in(["logit", "head", "headless bias"]))
    assert parts["logit"].sum() == pytest.approx(whole, abs=1e-4)
    wrote = shares.filter(part="mlp", layer=made.WRITER)["logit"].item()
    others = shares.filter(pl.col("part").is_in(["mlp", "attention"]))["logit"].abs().sum()
    assert wrote > 0.5 * whole
    assert others == pytest.approx(wrote, abs=1e-4)


def test_heads_add_up_to_their_attention(unlearnt: Frames) -> None:
    shares = unlearnt["drivers_shares"].filter(pl.col("object_id") == 0, read_at="last")
    heads = shares.filter(pl.col("part").is_in(["head", "headless bias"]))
    assert heads.filter(part="head").height == 4 * 4
    summed = heads.group_by("layer").agg(pl.col("logit").sum()).sort("layer")["logit"]
    whole = shares.filter(part="attention").sort("layer")["logit"]
    assert summed.to_list() == pytest.approx(whole.to_list(), abs=1e-4)
    assert whole.abs().to_numpy().max() > 0.01


def test_each_head_is_replaced_at_visual_positions_and_alone(tmp_path: Path) -> None:
    """What the output projection is given is another image's in one head, its own in the others."""
    bench, target = random_bench(tmp_path)
    recording = look(bench.checkpoint, target.image, "Describe this image.")
    chosen, _ = values.components(recording)
    others = values.other_images(bench)
    tokens = at(recording.layout, recording.layout.visual[:4])
    image = target.sample.image_id
    trials, missing = component_trials(recording, tokens, chosen, others, image, seed=0)
    assert not missing
    heads = {(t.layer, t.head, t.value): t for t in trials if t.part == "head"}
    assert {value for _, _, value in heads} == {"mean", "resampled", "frozen"}
    assert len(heads) == 3 * 4 * 4
    site, visual = Site("z", 2), list(recording.layout.visual)
    clean = capture(recording, [site], positions=range(recording.length)).load()[site]
    condition = heads[2, 1, "resampled"].condition
    changed = capture(recording, [site], condition, positions=range(recording.length)).load()[site]
    expected = clean.clone()
    expected[visual, 1] = others.another(image)[site][:, 1]
    torch.testing.assert_close(changed, expected)
    assert not torch.equal(changed, clean)


def test_a_direct_effect_is_that_of_later_layers_held(tmp_path: Path) -> None:
    """It is added up; a forward pass with every other sublayer held gives the same."""
    bench, target = random_bench(tmp_path)
    recording = look(bench.checkpoint, target.image, "Describe this image.")
    chosen = [one for one in values.components(recording)[0] if one.part != "head"]
    visual = recording.layout.visual
    tokens = at(recording.layout, visual[:4])
    image = target.sample.image_id
    found, _ = component_trials(
        recording, tokens, chosen, values.other_images(bench), image, seed=0
    )
    own = sorted(tokens)
    clean = torch.stack([recording.residual(place)[own] for place in range(5)])
    held = values.outputs(recording, chosen)
    for part, layer in (("attention", 1), ("mlp", 0), ("mlp", -1)):
        (trial,) = [
            one
            for one in found
            if (one.part, one.layer, one.value, one.region) == (part, layer, "mean", "image")
        ]
        replaced = {site for one in trial.condition for site in [one.made[0].site]}
        kept = tuple(Write(s, visual, state) for s, state in held.items() if s not in replaced)
        condition = (*trial.condition, Edited(kept))
        (stream,) = [s for _, s in changed_streams(recording, [condition], own)]
        assert trial.moved is not None
        torch.testing.assert_close(direct(clean, trial.moved), stream, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(stream, clean, atol=1e-3)


def test_a_planted_head_is_found_and_no_other(tmp_path: Path) -> None:
    """One head alone writes words; in the other image that it is taken from, another one."""
    targets = made.pictures(tmp_path, 10, ("dog", "cat"))
    dog, cat = targets[0], targets[9]  # both in the upper left corner
    checkpoint = spreading(tmp_path / "model", {"dog": dog, "cat": cat})
    records = frames(measure(made.bench(checkpoint, targets), dog))
    table = REPORT.tables(results_of(records), CORRECTED)["drivers"].filter(value="resampled")
    lost = table.filter(pl.col("loss") != 0, pl.col("part").is_in(["head", "attention"]))
    found = set(lost.select("part", "layer", "head").rows())
    assert found == {("head", 0, 0), ("attention", 0, -1), ("attention", -1, -1)}
    # The first patch stands before any of the other image's cat: it is given no word at all, and
    # rounding decides what it reads as.
    assert set(lost["loss"]) <= {0.75, 1.0}


def test_where_nothing_was_learnt_nothing_is_found(unlearnt: Frames) -> None:
    outcomes = judged(unlearnt)
    assert outcomes["A single driver"] == "did not hold"
    assert outcomes["Refinement in place"] == "did not hold"
    assert outcomes["The answers use it"] == "did not hold"


def test_one_object_is_too_few(planted: Frames) -> None:
    one = {name: frame.filter(pl.col("object_id") == 0) for name, frame in planted.items()}
    assert judged(one)["A single driver"].startswith("too few")
    assert judged(one)["The answers use it"].startswith("too few")


def test_answers_that_stay_where_the_lens_falls_make_it_a_by_product(planted: Frames) -> None:
    """And answers that fall with it don't."""
    answers = planted["drivers_answers"].with_columns(right_clean=pl.lit(True), right=pl.lit(True))
    many = pl.concat(
        answers.with_columns(pl.col("image_id") + 100 * turn, pl.col("object_id") + 100 * turn)
        for turn in range(4)
    )
    assert judged(planted | {"drivers_answers": many})["The answers use it"] == "did not hold"
    wrong = many.with_columns(right=pl.col("part").eq("none"))
    assert judged(planted | {"drivers_answers": wrong})["The answers use it"] == "held"


def test_every_row_can_be_shown(planted: Frames) -> None:
    tables = REPORT.tables(results_of(planted), CORRECTED)
    section = REPORT.section(tables)
    assert [len(grid.rows) for grid in section.grids] == [10, 5]
    assert [len(grid.rows) for grid in section.folded] == [12, 51]
    for grid in (*section.grids, *section.folded):
        assert all(len(row) == len(grid.heads) for row in grid.rows), grid.title
        assert sum(count for _, count in grid.groups) in (0, len(grid.heads))
    assert all(sketch.draw() is not None for sketch in REPORT.sketches(tables))
    headline = REPORT.headline(results_of(planted), CORRECTED)
    assert headline["row"].n_unique() == headline.height


def test_a_report_of_nothing_says_so() -> None:
    empty = {name: frame(name, []) for name in experiments()["drivers"].records}
    tables = REPORT.tables(results_of(empty), CORRECTED)
    assert set(judged(empty).values()) == {"not measured"}
    assert all(sketch.draw() is None for sketch in REPORT.sketches(tables))


def test_what_is_frozen_reads_the_stream_as_it_entered(tmp_path: Path) -> None:
    (target,) = made.pictures(tmp_path, 1)
    recording = look(made.random_weights(tmp_path / "model"), target.image, "Describe this image.")
    chosen, missing = values.components(recording)
    assert (len(chosen), missing) == (8 + 4 * 4, [])
    frozen = values.frozen_outputs(recording, chosen)
    layer = recording.checkpoint.parts.layers[2]
    visual = list(recording.layout.visual)
    with torch.no_grad():
        expected = layer.mlp(layer.post_attention_layernorm(recording.residual(0)[visual]))
    torch.testing.assert_close(frozen[Site("mlp_out_post", 2)], expected)
    clean = capture(recording, "attn_out_post.0", positions=visual)
    torch.testing.assert_close(frozen[Site("attn_out_post", 0)], clean["attn_out_post.0"])


def test_a_source_is_every_key_that_is_read_but_oneself(tmp_path: Path) -> None:
    (target,) = made.pictures(tmp_path, 1)
    recording = look(made.random_weights(tmp_path / "model"), target.image, "Describe this image.")
    visual = recording.layout.visual
    tokens = at(recording.layout, [visual[0], visual[5], visual[6]])
    trials, missing = source_trials(recording, tokens)
    assert not missing
    cut = {}
    for trial in trials:
        edges = trial.condition[0].edits(recording)
        cut[trial.value] = {
            (q, k) for e in edges if e.layer == 3 for q in e.queries for k in e.keys
        }
    causal = {(q, k) for q in tokens for k in range(q)}
    assert cut["other patches"] == {(q, k) for q, k in causal if k in visual}
    assert cut["same object"] == {(q, k) for q, k in causal if k in tokens}
    assert cut["not the object"] == cut["other patches"] - cut["same object"]
    assert cut["text"] == causal - cut["other patches"]
    assert cut["itself"] == {(q, q) for q in tokens}
