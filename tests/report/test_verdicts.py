"""Verdicts follow their rules: held, not held, and not measured where a piece is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from retinoscope.report.page import judged
from retinoscope.report.tables.collect import collect
from retinoscope.report.verdict import (
    HELD,
    NOT_HELD,
    NOT_MEASURED,
    TooFew,
    Verdict,
)
from retinoscope.results.store import Results, read


@pytest.fixture(scope="module")
def results(run: Path) -> Results:
    return read(run)


def judge(results: Results, **tables: pl.DataFrame) -> dict[str, Verdict]:
    changed = replace(results, tables={**results.tables, **tables})
    return {v.name: v for v in judged(changed, collect(changed))}


def test_the_planted_effects_are_found(results: Results) -> None:
    made = judge(results)
    assert [v.outcome for v in made.values()] == [HELD, HELD, HELD]
    assert list(made) == ["Localisation", "Refinement", "Extraction"]
    # Poll was planted at 55 %, below the bar of 70 %.
    assert [check.met for check in made["Localisation"].checks] == [True, False, True]


def test_nothing_measured_is_no_verdict(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    made = judge(read(write_run(tmp_path / "empty", objects=0, sheets=0)))
    assert {v.outcome for v in made.values()} == {NOT_MEASURED}
    assert {c.met for v in made.values() for c in v.checks} == {None}


def test_without_random_sets_localisation_is_not_judged(results: Results) -> None:
    alone = results["ablation"].filter(pl.col("selection") != "random")
    assert judge(results, ablation=alone)["Localisation"].outcome == NOT_MEASURED


def test_a_model_that_loses_as_much_at_random_does_not_localise(results: Results) -> None:
    fragile = results["ablation"].with_columns(
        right=pl.when(pl.col("selection") == "random").then(False).otherwise(pl.col("right"))
    )
    verdict = judge(results, ablation=fragile)["Localisation"]
    assert verdict.outcome == NOT_HELD
    assert {check.met for check in verdict.checks} == {False}


def test_one_task_alone_is_too_little(results: Results) -> None:
    ask = results["ablation"].filter(pl.col("task") == "ask")
    assert judge(results, ablation=ask)["Localisation"].outcome == NOT_MEASURED


def test_layers_turned_round_refine_nothing(results: Results) -> None:
    turned = results["lens"].with_columns(layer=8 - pl.col("layer"))
    verdict = judge(results, lens=turned)["Refinement"]
    assert verdict.outcome == NOT_HELD
    assert [check.met for check in verdict.checks] == [False, False, True]


def test_a_word_that_is_everywhere_is_not_the_objects(results: Results) -> None:
    lens = results["lens"]
    everywhere = lens.filter(pl.col("region") == "object").with_columns(region=pl.lit("background"))
    both = pl.concat([lens.filter(pl.col("region") == "object"), everywhere])
    assert judge(results, lens=both)["Refinement"].checks[2].met is False
    no_background = lens.filter(pl.col("region") == "object")
    assert judge(results, lens=no_background)["Refinement"].outcome == NOT_MEASURED


def test_words_that_no_layer_says_are_no_refinement(results: Results) -> None:
    silent = results["lens"].with_columns(strict=pl.lit(0, pl.Int64))
    assert judge(results, lens=silent)["Refinement"].outcome == NOT_HELD


def test_extraction_needs_the_other_cut_and_the_right_depth(results: Results) -> None:
    knockout = results["knockout"]
    alone = knockout.filter(pl.col("target") != "last row")
    assert judge(results, knockout=alone)["Extraction"].outcome == NOT_MEASURED
    swapped = {"early": "mid-late", "mid-late": "early"}
    turned = knockout.with_columns(window=pl.col("window").replace(swapped))
    turned = turned.filter(pl.col("window") != "late")
    assert judge(results, knockout=turned)["Extraction"].outcome == NOT_HELD
    harmless = knockout.with_columns(right=pl.lit(True))
    assert judge(results, knockout=harmless)["Extraction"].outcome == NOT_HELD


def first(results: Results, images: int) -> dict[str, pl.DataFrame]:
    """The records of the first images that were measured."""
    kept = results["ablation"]["image_id"].unique().sort().head(images)
    return {
        name: results[name].filter(pl.col("image_id").is_in(kept.to_list()))
        for name in ("ablation", "lens", "knockout")
    }


@pytest.mark.parametrize("images", [1, 2, 4, 5])
def test_what_so_few_objects_could_not_show_is_not_held_against_a_model(
    results: Results, images: int
) -> None:
    """With four objects, 100 % against 0 % is p = .125."""
    made = judge(results, **first(results, images))
    assert {v.outcome for v in made.values()} == {
        "too few objects to judge (at least 6)",
        "too few objects to judge (at least 8)",
    }
    assert [check.mark for check in made["Localisation"].checks] == ["too few"] * 3
    for verdict in made.values():
        assert all("()" not in check.found for check in verdict.checks)


def test_as_many_as_a_verdict_asks_for_are_enough(results: Results) -> None:
    some = first(results, 8)
    clear = pl.col("selection").is_in(["object", "object+1"])
    some["ablation"] = some["ablation"].with_columns(right=~clear)
    cut = (pl.col("group") == "object+1") & (pl.col("window") != "early")
    some["knockout"] = some["knockout"].with_columns(right=~cut)
    made = judge(results, **some)
    assert (made["Localisation"].outcome, made["Extraction"].outcome) == (HELD, HELD)
    assert made["Refinement"].outcome in (HELD, NOT_HELD)


def test_one_task_with_too_few_objects_does_not_hide_two_that_failed(results: Results) -> None:
    fragile = results["ablation"].with_columns(right=pl.col("selection") == "none")
    few = first(results, 4)["ablation"]["image_id"].unique().to_list()
    kept = (pl.col("task") != "ask") | pl.col("image_id").is_in(few)
    verdict = judge(results, ablation=fragile.filter(kept))["Localisation"]
    assert isinstance(verdict.checks[2].met, TooFew)
    assert verdict.outcome == NOT_HELD
