"""Verdicts follow their rules: held, not held, and not measured where a piece is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from retinoscope.report.tables.collect import collect
from retinoscope.report.verdicts import HELD, NOT_HELD, NOT_MEASURED, Verdict, verdicts
from retinoscope.results.store import Results, read


@pytest.fixture(scope="module")
def results(run: Path) -> Results:
    return read(run)


def judge(results: Results, **tables: pl.DataFrame) -> dict[str, Verdict]:
    changed = replace(results, tables={**results.tables, **tables})
    return {v.name: v for v in verdicts(collect(changed), changed["knockout"])}


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
