"""Global features: sets and kinds of tokens are what they say; a random model holds nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import coco_scene
import numpy as np
import polars as pl
import pytest
import tiny
import torch

from retinoscope.data import Filter, open_data, select
from retinoscope.engine import capture, evaluate, look
from retinoscope.errors import SampleError
from retinoscope.experiments import OwnSettings, Settings, read_target
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.globals.measure import measure
from retinoscope.experiments.globals.reading import erase, far, words
from retinoscope.experiments.globals.records import (
    GlobalRecord,
    ReadRecord,
    TypeRecord,
)
from retinoscope.experiments.globals.tables import (
    answer_table,
    asked_table,
    kind_table,
    read_table,
)
from retinoscope.experiments.globals.themes import theme_in, theme_query
from retinoscope.experiments.globals.trials import read_elsewhere, sets_of, trials
from retinoscope.experiments.globals.types import (
    attention_received,
    kinds,
    massiveness,
    outstanding,
)
from retinoscope.experiments.globals.verdict import global_features, outlier_tokens
from retinoscope.experiments.objects import scene_of
from retinoscope.models import load
from retinoscope.report.verdict import HELD
from retinoscope.results import schema as records
from retinoscope.results.records import SkippedRecord
from retinoscope.tokens import visual
from tests.experiments.drivers_model import pictures
from tests.experiments.random_model import saying
from tests.experiments.spreading_model import spreading
from tests.experiments.test_pairs import frame


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench[OwnSettings]:
    folder = tmp_path_factory.mktemp("globals")
    data = open_data(f"coco:{coco_scene.write(folder / 'data')}")
    pairs = select(data, Filter(0, None, None, one_per_image=True)).candidates
    settings = Settings(values=("zero",), max_new_tokens=4)
    return Bench(load(tiny.save(folder / "model")), data.categories, pairs, settings, OwnSettings())


def test_a_random_model_holds_nothing_and_every_set_is_asked_both_ways(
    bench: Bench[OwnSettings],
) -> None:
    read = (read_target(*pair, bench.categories, bench.settings) for pair in bench.candidates)
    rows: list[Any] = [row for target in read for row in measure(bench, target)]
    answers, lens = frame(rows, GlobalRecord), frame(rows, ReadRecord)
    found = kind_table(frame(rows, TypeRecord))
    for verdict in (global_features(answers, lens), outlier_tokens(answers, found)):
        assert verdict.outcome != HELD
    modes = answers.filter(pl.col("token_type") == "background", ~pl.col("random"))["mode"]
    assert {"ablate", "keep", "erased", "permute"} <= set(modes)
    assert read_table(lens).filter(pl.col("layer") == 0).height
    assert found.filter(pl.col("token_type") == "all")["tokens"].to_list() == [16.0]
    assert answer_table(answers).height


def test_kept_and_replaced_are_complements_and_random_sets_as_large(
    bench: Bench[OwnSettings],
) -> None:
    target = read_target(*bench.candidates[0], bench.categories, bench.settings)
    recording = look(bench.checkpoint, target.image, "Describe this image .")
    scene, _ = scene_of(recording, target.sample, bench.settings)
    own = scene.tokens[target.annotation.object_id]
    found = kinds(recording)
    sets = sets_of(scene, own, found)
    everything = visual(recording.layout)
    elsewhere = look(bench.checkpoint, erase(target.image, scene), "Describe this image .")
    kinds_together = set()
    for tokens in found.tokens.values():
        kinds_together |= tokens.positions
    assert kinds_together == everything.positions
    given = {
        (t.token_type, t.mode, t.random): t
        for t in trials(recording, sets, 1, bench.settings, None, erased=elsewhere)
    }
    for (name, mode, random), trial in given.items():
        (one,) = trial.condition
        assert trial.tokens == len(sets[name])
        if mode == "keep":
            other = given[name, "ablate", random].condition[0]
            assert not one.tokens & other.tokens and one.tokens | other.tokens == everything
    # What text reads otherwise goes on as it is, and read as it is changes nothing.
    hidden, *_ = given["background", "erased", False].condition
    own = read_elsewhere(scene.background, recording)
    found = evaluate(recording, [(own,), (hidden,)]).logits
    assert torch.allclose(found[0], recording.logits, atol=1e-5)
    assert not torch.allclose(found[1], recording.logits, atol=1e-3)
    seen = capture(recording, "resid_post.3", (hidden,), positions=list(everything)).load()
    assert torch.allclose(seen["resid_post.3"], recording.residual(4)[list(everything)], atol=1e-5)
    # Tokens that change places with themselves change nothing where each stays.
    states = recording.residual(0)[list(everything)]
    permuted = given["background", "permute", False].condition[0]
    assert sorted(map(tuple, permuted.value.tolist())) == sorted(
        map(tuple, recording.residual(0)[list(scene.background)].tolist())
    )
    same = replace(permuted, tokens=everything, value=states)
    assert torch.allclose(evaluate(recording, [(same,)]).logits[0], recording.logits, atol=1e-5)


def test_the_theme_is_asked_where_data_say_it_and_the_model_can(
    bench: Bench[OwnSettings], tmp_path: Path
) -> None:
    """Of GQA's field here; a question about the whole image is none about objects elsewhere."""
    said = [
        (replace(sample, raw={"location": ("left", "right")[index % 2]}), one)
        for index, (sample, one) in enumerate(bench.candidates)
    ]
    text = "Which of these fits the image best: left or right?"
    model = load(saying(tmp_path, ("left", "right"), said[0][0], text))
    able = replace(bench, checkpoint=model, candidates=said)
    rows: list[Any] = [
        row
        for pair in said[:2]
        for row in measure(able, read_target(*pair, bench.categories, bench.settings))
    ]
    answers = frame(rows, GlobalRecord)
    asked = answers.filter(task="theme", token_type="none")
    assert set(asked["prompt"]) == {text}
    assert asked["clean_right"][0] and asked["answer"][0] == "left"
    measured = answers.filter(pl.col("task") == "theme", pl.col("token_type") == "background")
    assert {"ablate", "keep"} <= set(measured["mode"])
    table = asked_table(answers, records.frame("skipped", []))
    assert table.filter(task="theme").select("asked", "left_out").row(0) == (2, 0)
    without = answers.filter(pl.col("task") != "theme")
    lens = frame(rows, ReadRecord)
    assert global_features(answers, lens) == global_features(without, lens)


def test_a_theme_that_can_not_be_asked_is_said_so(bench: Bench[OwnSettings]) -> None:
    target = read_target(*bench.candidates[0], bench.categories, bench.settings)
    skipped = [row for row in measure(bench, target) if type(row) is SkippedRecord]
    (reason,) = [row.reason for row in skipped if row.condition == "theme"]
    assert reason == "the data don't say the image's theme"
    table = asked_table(frame([], GlobalRecord), records.frame("skipped", skipped))
    assert table.filter(task="theme").select("asked", "left_out", "reason").row(0) == (0, 1, reason)
    tokenizer, scene = bench.checkpoint.tokenizer, bench.candidates[0][0]
    assert (
        theme_in(replace(scene, raw={"location": "indoors"}), np.array(target.image)) == "indoors"
    )
    for theme, why in (("kitchen", "can't spell 'kitchen'"), (None, "don't say")):
        with pytest.raises(SampleError, match=why):
            theme_query(theme, "dog", {"left"}, tokenizer)
    with pytest.raises(SampleError, match="nothing to choose"):
        theme_query("left", "dog", {"left"}, tokenizer)


def test_attention_received_is_a_share_of_what_the_text_gives(bench: Bench[OwnSettings]) -> None:
    target = read_target(*bench.candidates[0], bench.categories, bench.settings)
    recording = look(bench.checkpoint, target.image, "Describe this image .")
    received = attention_received(recording)
    behind = [p for p in recording.layout.text if p > recording.layout.visual[-1]]
    whole = capture(recording, "attn_probs", positions=behind).stack("attn_probs")
    assert whole.sum(-1).allclose(torch.ones(()), atol=1e-5)
    assert 0 < float(received.sum()) < 1
    seen = list(recording.layout.visual)
    assert torch.allclose(received, whole[..., seen].mean((0, 1, 2)), atol=1e-6)


def test_what_stands_out_is_found_and_nothing_where_all_are_alike() -> None:
    even = torch.linspace(1, 1.1, 50)
    assert not outstanding(even, 1.0).any()
    planted = even.clone()
    planted[[3, 7]] = 9.0
    assert outstanding(planted, 3.0).nonzero().flatten().tolist() == [3, 7]
    states = torch.ones(20, 64)
    states[5, 11] = 60.0
    assert int(massiveness(states).argmax()) == 5
    assert outstanding(massiveness(states), 3.0).nonzero().flatten().tolist() == [5]


def test_erased_objects_leave_no_pixel_and_far_patches_touch_none(
    bench: Bench[OwnSettings],
) -> None:
    target = read_target(*bench.candidates[0], bench.categories, bench.settings)
    recording = look(bench.checkpoint, target.image, "Describe this image .")
    scene, _ = scene_of(recording, target.sample, bench.settings)
    after, before = np.array(erase(target.image, scene)), np.array(target.image)
    covered = np.any([thing.mask for thing in scene.things.values()], axis=0)
    assert len(np.unique(after[covered], axis=0)) == 1
    assert (after != before).any(-1).sum() <= sum(34 * 34 for _ in scene.things)
    assert not far(scene).dilate(1) & ~scene.background


def test_chance_is_that_of_other_images_classes(bench: Bench[OwnSettings]) -> None:
    sample, other = bench.candidates[0][0], bench.candidates[1][0]
    found = words(sample, [other], bench.categories, bench.checkpoint.tokenizer)
    assert found.present and not found.present & found.absent
    assert found.others[0] <= found.present | found.absent
    assert not found.number & found.wrong


def test_a_model_that_spreads_words_is_found_and_its_answers_do_without_them(
    tmp_path: Path,
) -> None:
    """Far patches say what is elsewhere, but the last position reads the object itself."""
    names = ("dog", "cat")
    upper = [one for i, one in enumerate(pictures(tmp_path, 36, names)) if i // 3 % 3 == 0]
    seen = {one.class_name: one for one in reversed(upper) if one.annotation.box[0] == 0}
    made = spreading(tmp_path / "model", {name: seen[name] for name in names})
    pairs = [(one.sample, one.annotation) for one in upper]
    settings = Settings(tasks=("ask",), values=("zero",), max_new_tokens=4)
    bench = Bench(made, names, pairs, settings, OwnSettings())
    rows: list[Any] = [row for target in upper for row in measure(bench, target)]
    asked = frame(rows, GlobalRecord)
    assert asked.filter(token_type="none")["right"].all()
    found = global_features(asked, frame(rows, ReadRecord))
    assert [check.met for check in found.checks][:2] == [True, True]
    assert found.checks[-1].found.endswith("genuine, unused")
