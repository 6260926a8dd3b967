"""Pairs: what is planted in records is found; a random model holds nothing; the laws of sets."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import coco_scene
import numpy as np
import polars as pl
import pytest
import tiny
import torch
from PIL import Image

from retinoscope.data import Filter, open_data, select
from retinoscope.engine import Recording, evaluate, look
from retinoscope.errors import SelectionError
from retinoscope.experiments import Settings, read_target
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.matching import distances, matched_by_distance
from retinoscope.experiments.objects import scene_of
from retinoscope.experiments.pairs.blocks import Board, equal_blocks
from retinoscope.experiments.pairs.leakage import chosen_pairs
from retinoscope.experiments.pairs.measure import measure
from retinoscope.experiments.pairs.records import PairRecord, SwapRecord
from retinoscope.experiments.pairs.report import REPORT
from retinoscope.experiments.pairs.sets import Replaced, other_sets
from retinoscope.experiments.pairs.settings import PairsSettings
from retinoscope.experiments.pairs.swap_tables import binding_table, swap_table
from retinoscope.experiments.pairs.swaps import moved
from retinoscope.experiments.pairs.tables import items, leakage_table, paired
from retinoscope.experiments.pairs.verdict import binding, counting, overlap, separation
from retinoscope.models import load
from retinoscope.report.parts import Report
from retinoscope.report.verdict import HELD, NOT_HELD, NOT_MEASURED
from retinoscope.results.protocol import CORRECTED
from retinoscope.results.records import SkippedRecord
from retinoscope.tokens import at, visual
from tests.experiments.tables_alone import results_of

IMAGES = 12


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench[PairsSettings]:
    folder = tmp_path_factory.mktemp("pairs")
    data = open_data(f"coco:{coco_scene.write(folder / 'data')}")
    pairs = select(data, Filter(0, None, None, one_per_image=True)).candidates
    settings = Settings(values=("zero", "noise"), max_new_tokens=4)
    checkpoint = load(tiny.save(folder / "model"))
    return Bench(checkpoint, data.categories, pairs, settings, PairsSettings())


@pytest.fixture(scope="module")
def rows(bench: Bench[PairsSettings]) -> list[Any]:
    read = (read_target(*pair, bench.categories, bench.settings) for pair in bench.candidates)
    return [row for target in read for row in measure(bench, target)]


@pytest.fixture(scope="module")
def recording(bench: Bench[PairsSettings]) -> Recording:
    pixels = np.random.default_rng(0).integers(0, 255, (56, 56, 3), dtype=np.uint8)
    return look(bench.checkpoint, Image.fromarray(pixels), "Is there a dog in this image ?")


def frame(rows: list[Any], kind: type) -> pl.DataFrame:
    schema: Any = {
        f.name: {"int": pl.Int64, "str": pl.String, "bool": pl.Boolean}.get(
            str(f.type).split(" ")[0], pl.Float64
        )
        for f in fields(kind)
    }
    return pl.DataFrame([vars(row) for row in rows if type(row) is kind], schema=schema)


def test_a_random_model_holds_nothing(rows: list[Any]) -> None:
    pairs, swaps = frame(rows, PairRecord), frame(rows, SwapRecord)
    assert pairs.filter(pl.col("set") == "other+1").height
    found = items(pairs)
    judged = (separation(found), overlap(found), counting(found), binding(binding_table(swaps)))
    assert HELD not in [verdict.outcome for verdict in judged]


def test_sets_split_the_other_object_and_background_is_matched(bench: Bench[PairsSettings]) -> None:
    sample, _ = bench.candidates[0]
    target = read_target(*bench.candidates[0], bench.categories, bench.settings)
    recording = look(bench.checkpoint, target.image, "Describe this image.")
    scene, unusable = scene_of(recording, sample, bench.settings)
    assert not unusable
    one, other = scene.things
    grown = replace(scene, tokens={**scene.tokens, one: scene.tokens[one].dilate(1)})
    for chosen in (scene, grown):
        sets = {s.name: s.tokens for s in other_sets(chosen, one, other, 0) if type(s) is Replaced}
        own, theirs = chosen.tokens[one], chosen.tokens[other]
        assert sets["other"] | sets.get("shared", own - own) == theirs
        assert sets["other+1"] | (theirs.dilate(1) & own) == theirs.dilate(1)
        assert ("shared" in sets) == ("own only" in sets) == bool(own & theirs)
        if "background" in sets:
            assert len(sets["background"]) == len(sets["other+1"])
            assert not sets["background"] & (own | theirs)
    assert chosen_pairs(scene, 0, 3) == [(one, other)]


def test_background_is_as_far_away_as_what_it_stands_for(recording: Recording) -> None:
    everything = list(visual(recording.layout))
    wanted, corner = at(recording.layout, [everything[5]]), (0.0, 0.0)
    (drawn,) = matched_by_distance(wanted, visual(recording.layout), corner, 0)
    far = distances(visual(recording.layout), corner)
    nearest = min(abs(far[p] - far[everything[5]]) for p in everything if p != everything[5])
    assert abs(far[drawn] - far[everything[5]]) == nearest
    with pytest.raises(SelectionError, match="16 background tokens are wanted but only 0"):
        matched_by_distance(visual(recording.layout), visual(recording.layout), corner, 0)


def test_blocks_have_one_shape_and_moving_them_is_exact(recording: Recording) -> None:
    board, seen = Board(recording.layout), list(visual(recording.layout))
    one, other = at(recording.layout, seen[0:2]), at(recording.layout, [seen[10], seen[14]])
    first, second = equal_blocks(board, one, other, one - one)
    assert (first.rows, first.columns) == (second.rows, second.columns) == (2, 2)
    assert {*one} <= {*first.positions} and {*other} <= {*second.positions}
    same = [(first, first), (second, second)]
    there, back = [(first, second), (second, first)], [(second, first), (first, second)]
    last = recording.layer_count
    conditions = [(moved(recording, m, i),) for m in (same, there, back) for i in (0, 2, last)]
    logits = evaluate(recording, conditions).logits.unflatten(0, (3, 3))
    assert torch.allclose(logits[0], recording.logits.expand(3, -1), atol=1e-5)
    assert torch.equal(logits[1], logits[2])
    assert not torch.allclose(logits[1, 0], recording.logits, atol=1e-3)
    assert torch.allclose(logits[1, 2], recording.logits, atol=1e-5)
    with pytest.raises(SelectionError, match="overlap"):
        equal_blocks(board, one, at(recording.layout, [seen[1], seen[5]]), one - one)
    with pytest.raises(SelectionError, match="third object"):
        equal_blocks(board, one, other, at(recording.layout, [seen[5]]))


def test_an_image_of_one_object_is_skipped_by_name(bench: Bench[PairsSettings]) -> None:
    sample, item = bench.candidates[0]
    alone = read_target(replace(sample, annotations=(item,)), item, bench.categories, Settings())
    with pytest.raises(Exception, match="two or more objects"):
        measure(bench, alone)


def test_what_can_not_be_swapped_is_said(rows: list[Any]) -> None:
    reasons = {row.reason for row in rows if type(row) is SkippedRecord}
    assert all(reasons)


def planted(
    changed: dict[str, bool], iou: float = 0.0, same: bool = False, images: int = IMAGES
) -> pl.DataFrame:
    """Pairs in which replacing a set changes the answer or not."""
    found: list[PairRecord] = []
    for image in range(images):
        clean = PairRecord(
            *(image, 1, 1, "dog", -1, "", "count" if same else "poll", "?", "none", "", 0),
            *(None, None, None, "", 2, "Yes", True, 4.0, None, True, 4.0),
        )
        found.append(clean)
        for name, wrong in changed.items():
            alone = name in ("own", "own+1")
            row = replace(clean, set=name, value="mean", tokens=3, apart=0.1, right=not wrong)
            row = replace(row, ld=-4.0 if wrong else 3.0, predicted=wrong if same else None)
            if not alone:
                other = "dog" if same else "cat"
                row = replace(row, other_id=2, other_class=other, iou=iou, distance=0.3)
            found.append(row)
    return frame(found, PairRecord)


def test_planted_separation_is_found_and_planted_leakage_too() -> None:
    sets = {"own+1": True, "other+1": False, "background": False}
    assert separation(items(planted(sets))).outcome == HELD
    assert separation(items(planted({**sets, "other+1": True}))).outcome == NOT_HELD
    assert separation(items(planted({**sets, "own+1": False}))).outcome == NOT_HELD
    few = separation(items(planted(sets, images=4))).outcome
    assert few.startswith("too few objects to judge")
    nothing = items(planted({}, images=0))
    assert separation(nothing).outcome == NOT_MEASURED


def test_only_pairs_that_overlap_enough_tell_of_overlap() -> None:
    sets = {"own only": True, "shared": True, "other": False, "background": False}
    assert overlap(items(planted(sets, iou=0.5))).outcome == HELD
    assert overlap(items(planted({**sets, "other": True}, iou=0.5))).outcome == NOT_HELD
    assert overlap(items(planted(sets, iou=0.1))).outcome == NOT_MEASURED


def test_a_planted_count_is_found() -> None:
    sets = {"other+1": True, "background": False}
    assert counting(items(planted(sets, same=True))).outcome == HELD
    assert counting(items(planted({**sets, "background": True}, same=True))).outcome == NOT_HELD
    assert counting(items(planted(sets))).outcome == NOT_MEASURED


def test_own_sets_stand_with_every_pair_and_an_image_counts_once() -> None:
    records = planted({"own+1": True, "other+1": False})
    twice = pl.concat([records, records.with_columns(object_id=pl.lit(7, pl.Int64))])
    found = items(twice)
    assert found.equals(items(records))
    assert paired(found, "own+1", "other+1").height == IMAGES
    table = leakage_table(found).filter(pl.col("by") == "overlap")
    assert dict(table.select("set", "changed").iter_rows()) == {"own+1": 1.0, "other+1": 0.0}
    assert dict(table.select("set", "drop").iter_rows()) == {"own+1": 2.0, "other+1": 0.25}


def exchanged(stays: bool, becomes: bool, deleted: bool = True) -> pl.DataFrame:
    found: list[SwapRecord] = []
    for image in range(IMAGES):
        for layer in range(3):
            there = layer < 2
            base = SwapRecord(
                *(image, 1, 1, "dog", 2, "cat", "ask", "?", "other", layer, 2, 2, False, "dog"),
                *(not there or stays, there and becomes, 4.0 if stays else -4.0, 4.0),
            )
            gone = there and deleted
            empty = replace(base, exchanged="deleted", right=not gone, became=False)
            found += [base, empty]
    return frame(found, SwapRecord)


def test_planted_tokens_and_planted_slots_are_told_apart() -> None:
    token, slot = exchanged(True, False), exchanged(False, True)
    assert binding(binding_table(token)).outcome == HELD
    assert binding(binding_table(slot)).outcome == NOT_HELD
    row = binding_table(slot).row(0, named=True)
    assert (row["token"], row["slot"], row["first_layer"], row["last_layer"]) == (0.0, 1.0, 0, 1)
    assert swap_table(slot).filter(pl.col("exchanged") == "other")["shift"].to_list()[0] == 2.0
    # Where nothing is lost with the block, an answer that stays says nothing.
    unread = binding_table(exchanged(True, False, deleted=False))
    assert binding(unread).outcome == NOT_MEASURED


def drawn(report: Report, tables: dict[str, pl.DataFrame]) -> tuple[int, int]:
    """Grids and figures that a report makes of records."""
    results = results_of(tables)
    made = report.tables(results, CORRECTED)
    assert report.verdicts(results, made, CORRECTED)
    section = report.section(made)
    assert all(
        len(row) == len(g.heads) for g in (*section.grids, *section.folded) for row in g.rows
    )
    report.headline(results, CORRECTED)
    figures = [sketch.draw() for sketch in report.sketches(made)]
    return len(section.grids), sum(figure is not None for figure in figures)


def test_the_report_draws_what_there_is_and_nothing_of_nothing() -> None:
    sets = {"own": True, "own+1": True, "other+1": False, "background": False}
    pairs, swapped = planted(sets, iou=0.3), exchanged(False, True)
    assert drawn(REPORT, {"pairs": pairs, "swaps": swapped}) == (2, 2)
    assert drawn(REPORT, {"pairs": pairs.head(0), "swaps": swapped.head(0)}) == (0, 0)
