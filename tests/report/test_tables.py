"""The tables agree with counting by hand, and keep their laws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from retinoscope.errors import RunError
from retinoscope.experiments.ablation.records import AblationRecord
from retinoscope.experiments.ablation.tables import ablation_table
from retinoscope.experiments.knockout.sweep_tables import sweep_table
from retinoscope.experiments.knockout.tables import compare_knockouts, knockout_table
from retinoscope.experiments.lens.records import LensRecord
from retinoscope.experiments.lens.tables import best_layers, lens_by_layer, lens_summary
from retinoscope.report import paper
from retinoscope.report.tables import blocks
from retinoscope.report.tables.collect import collect, write_tables
from retinoscope.results.schema import frame
from retinoscope.results.statistics import mcnemar
from retinoscope.results.store import read


def answer(
    unit: int, selection: str, right: bool, p: float | None = 0.5, **changes: object
) -> AblationRecord:
    value = "" if selection == "none" else "mean"
    record = AblationRecord(
        unit, 1, "dog", "poll", "q", selection, "", 0, value, 4, "a", right, p, None
    )
    return replace(record, **changes)


def table(records: list[AblationRecord]) -> pl.DataFrame:
    return ablation_table(frame("ablation", records))


def test_answers_like_the_clean_ones_are_no_decrease() -> None:
    rows = [answer(u, s, u % 3 > 0) for u in range(9) for s in ("none", "object", "register")]
    made = table(rows)
    assert made["selection"].to_list() == ["object", "register"]
    assert made["n"].to_list() == [6, 6]
    assert made["decrease"].to_list() == [0, 0]
    assert made["drop"].to_list() == [0, 0]
    assert made["accuracy"].to_list() == [6 / 9, 6 / 9]


def test_every_cell_equals_the_count_by_hand(run: Path) -> None:
    records = read(run)["ablation"]
    rows = records.to_dicts()
    unit = ("image_id", "object_id", "task", "prompt")
    clean = {tuple(r[k] for k in unit): r for r in rows if r["selection"] == "none"}
    made = ablation_table(records)
    assert made.height == 2 * 4 * 20
    for cell in made.iter_rows(named=True):
        mine = [
            (r, clean[tuple(r[k] for k in unit)])
            for r in rows
            if all(r[k] == cell[k] for k in ("value", "selection", "matched", "size", "task"))
        ]
        counted = [(r, c) for r, c in mine if c["right"]]
        wrong = sum(not r["right"] for r, _ in counted)
        assert (cell["asked"], cell["n"], cell["wrong"]) == (len(mine), len(counted), wrong)
        assert (
            cell["decrease_low"]
            <= cell["decrease"]
            == wrong / len(counted)
            <= cell["decrease_high"]
        )
        drops = [
            c["probability"] - r["probability"] for r, c in counted if r["probability"] is not None
        ]
        assert cell["drop_n"] == len(drops)
        if drops:
            assert math.isclose(cell["drop"], sum(drops) / len(drops))
            assert cell["drop_low"] <= cell["drop"] <= cell["drop_high"]
        else:
            assert cell["drop"] is None


def test_mcnemar_compares_with_the_random_set_of_the_same_size(run: Path) -> None:
    records = read(run)["ablation"]
    made = ablation_table(records).filter(pl.col("value") == "mean", pl.col("task") == "ask")
    right = {
        r["image_id"]
        for r in records.to_dicts()
        if r["selection"] == "none" and r["right"] and r["task"] == "ask"
    }

    def wrong(selection: str, matched: str, size: int = 0) -> dict[int, bool]:
        chosen = records.filter(
            value="mean", task="ask", selection=selection, matched=matched, size=size
        )
        return {r["image_id"]: not r["right"] for r in chosen.to_dicts() if r["image_id"] in right}

    for selection, matched, size, other in (
        ("object+1", "", 0, ("random", "object+1", 0)),
        ("gradients", "object+1", 0, ("random", "object+1", 0)),
        ("gradients", "", 40, ("random", "", 40)),
    ):
        cell = made.filter(selection=selection, matched=matched, size=size).row(0, named=True)
        one, two = wrong(selection, matched, size), wrong(*other)
        only = sum(one[i] and not two[i] for i in one), sum(two[i] and not one[i] for i in one)
        assert (cell["only_this_wrong"], cell["only_random_wrong"], cell["pairs"]) == (
            *only,
            len(one),
        )
        assert cell["mcnemar_p"] == mcnemar(*only)
    unpaired = made.filter(pl.col("selection").is_in(["random", "register"]))
    assert unpaired["mcnemar_p"].null_count() == unpaired.height


def test_rows_come_in_the_papers_order(run: Path) -> None:
    made = ablation_table(read(run)["ablation"]).filter(value="mean", task="poll")
    labels = made["label"].to_list()
    assert labels[:4] == ["object", "object +1", "object +2", "register"]
    assert labels[4:10] == [f"random {n}" for n in (5, 10, 20, 40, 60, 100)]
    assert labels[10:13] == [f"random, as many as object{b}" for b in ("", " +1", " +2")]
    assert labels[-1] == "gradients, as many as object +1"


def test_the_order_of_records_does_not_matter(run: Path) -> None:
    results = read(run)
    shuffled = {
        name: t.sample(fraction=1.0, shuffle=True, seed=1) for name, t in results.tables.items()
    }
    one, other = collect(results), collect(replace(results, tables=shuffled))
    for name in one:
        assert_frame_equal(one[name], other[name])


def test_a_condition_recorded_twice_is_refused() -> None:
    rows = [answer(1, "none", True), answer(1, "none", False), answer(1, "object", True)]
    with pytest.raises(RunError, match="twice"):
        table(rows)


def test_without_a_clean_run_there_is_no_decrease() -> None:
    assert table([answer(1, "object", False)]).height == 0
    wrong = table([answer(1, "none", False), answer(1, "object", False)])
    assert (wrong["n"][0], wrong["decrease"][0], wrong["decrease_low"][0]) == (0, None, None)


def test_a_missing_probability_is_left_out_of_the_drop_alone() -> None:
    rows = [
        *(answer(1, "none", True, 0.9), answer(1, "object", False, 0.1)),
        *(answer(2, "none", True, 0.9), answer(2, "object", False, None)),
    ]
    made = table(rows).row(0, named=True)
    assert (made["n"], made["wrong"], made["drop_n"]) == (2, 2, 1)
    assert math.isclose(made["drop"], 0.8)


def test_knockout_keeps_what_it_does_not_lose(run: Path) -> None:
    made = knockout_table(read(run)["knockout"])
    assert made["target"].unique().sort().to_list() == ["last position", "last row"]
    # What was not measured has no row: last row was cut from one group alone.
    assert made.filter(target="last row")["group"].unique().to_list() == ["all but last row"]
    for cell in made.iter_rows(named=True):
        assert math.isclose(cell["kept"] + cell["decrease"], 1)
        assert cell["kept_low"] <= cell["kept"] <= cell["kept_high"]
    windows = made.filter(task="ask", group="object", target="last position")["window"].to_list()
    assert windows == ["early", "early-mid", "mid", "mid-late", "late", "all"]


def test_comparing_two_cuts_is_symmetric(run: Path) -> None:
    cuts = (("object+1", "last position"), ("all but last row", "last row"))
    records = read(run)["knockout"]
    there, back = compare_knockouts(records, *cuts), compare_knockouts(records, *reversed(cuts))
    both = there.join(back, on=["task", "window"], suffix="_back")
    assert both.height == there.height == 12
    assert both["only_first_wrong"].to_list() == both["only_second_wrong_back"].to_list()
    assert both["p"].to_list() == both["p_back"].to_list()


def lens(
    unit: int, layer: int, strict: int, patches: int = 4, region: str = "object"
) -> LensRecord:
    return LensRecord(unit, 1, "dog", region, layer, patches, strict, strict, 1.0, -1.0, 2.0)


def test_best_layer_is_where_most_patches_name_the_object() -> None:
    rows = [lens(1, 0, 0), lens(1, 1, 3), lens(1, 2, 1)]
    rows += [lens(2, 0, 2), lens(2, 1, 0), lens(2, 2, 2), lens(3, 0, 0), lens(3, 1, 0)]
    best = best_layers(frame("lens", rows), "strict")
    assert best["best_layer"].to_list() == [1.0, 1.0, None]
    assert best["best_share"].to_list() == [0.75, 0.5, 0.0]


def test_micro_counts_patches_and_macro_counts_objects() -> None:
    rows = frame("lens", [lens(1, 0, 4, 4), lens(2, 0, 0, 12), lens(3, 0, 0, 0)])
    made = lens_by_layer(rows).row(0, named=True)
    assert made["strict_micro"] == 4 / 16
    assert made["strict_macro"] == 0.5
    assert (made["objects"], made["patches"]) == (3, 16)


def test_lens_summary_of_the_run(run: Path) -> None:
    records = read(run)["lens"]
    strict, lenient = lens_summary(records, lens_by_layer(records)).to_dicts()
    assert strict["layers"] == 9
    assert strict["best_share"] >= strict["peak_share"] > strict["peak_background"]
    assert lenient["peak_share"] >= strict["peak_share"]
    assert strict["best_layer_low"] <= strict["best_layer"] <= strict["best_layer_high"]


def test_nothing_measured_makes_empty_tables_with_the_same_columns(
    tmp_path: Path, run: Path, write_run: Callable[..., Path]
) -> None:
    empty = collect(read(write_run(tmp_path / "empty", objects=0, sheets=0)))
    for name, full in collect(read(run)).items():
        assert empty[name].columns == full.columns, name
        assert empty[name].schema == full.schema, name
        assert empty[name].height == 0 or name == "skipped"


def test_csv_files_hold_the_tables(tmp_path: Path, run: Path) -> None:
    tables = collect(read(run))
    write_tables(tables, tmp_path / "tables")
    for name, made in tables.items():
        path = tmp_path / "tables" / f"{name}.csv"
        back = pl.read_csv(path, schema=made.schema).with_columns(pl.col(pl.String).fill_null(""))
        assert_frame_equal(back, made)


def test_the_papers_unknown_cells_stay_unknown() -> None:
    assert paper.decrease("mean", "object+1", "", 0, "poll") == 0.513
    assert paper.decrease("zero", "object+1", "", 0, "poll") is None
    assert paper.decrease("mean", "random", "object+1", 40, "poll") is None
    assert paper.decrease("mean", "object", "", 0, "poll") is None
    assert paper.tokens("object+1", "", 0) == 33.4
    assert paper.kept("ask", "object+1", "last position", "mid-late") == 0.82
    assert paper.kept("poll", "object+1", "last position", "mid-late") is None


def test_the_sweep_table_counts_every_layer_and_head_by_hand(run: Path) -> None:
    records = read(run)["knockout"]
    made = sweep_table(records)
    assert made.height == 2 * 8 * 4
    rows = records.to_dicts()
    unit = ("image_id", "object_id", "task", "prompt")
    clean = {tuple(r[k] for k in unit): r for r in rows if r["window"] == "none"}
    for cell in made.iter_rows(named=True):
        head = -1 if cell["head"] is None else cell["head"]
        mine = [
            (r, clean[tuple(r[k] for k in unit)])
            for r in rows
            if r["window"].startswith("layer")
            and (r["task"], r["first_layer"], r["head"]) == (cell["task"], cell["layer"], head)
        ]
        right = [(r, c) for r, c in mine if c["right"]]
        assert cell["asked"] == len(mine)
        assert (cell["n"], cell["wrong"]) == (len(right), sum(not r["right"] for r, _ in right))
        drop = sum(c["probability"] - r["probability"] for r, c in right) / len(right)
        assert cell["drop"] == pytest.approx(drop)
        assert cell["drop_low"] <= drop <= cell["drop_high"]


def test_a_sweep_changes_nothing_in_the_tables_of_windows(run: Path) -> None:
    records = read(run)["knockout"]
    windows = records.filter(~pl.col("window").str.starts_with("layer"))
    assert len(windows) < len(records)
    assert_frame_equal(knockout_table(records), knockout_table(windows))
    cuts = (("object+1", "last position"), ("all but last row", "last row"))
    assert_frame_equal(compare_knockouts(records, *cuts), compare_knockouts(windows, *cuts))


@pytest.mark.parametrize("block", [1, 7, 10**6])
def test_tables_made_block_by_block_are_the_tables_made_at_once(
    run: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    results = read(run)
    large = {name: run / "records" / f"{name}.parquet" for name in ("ablation", "knockout", "lens")}
    small = {name: table for name, table in results.tables.items() if name not in large}
    lazy = replace(results, tables=small, large=large)
    assert isinstance(lazy.records("ablation"), pl.LazyFrame)
    assert lazy["ablation"].equals(results["ablation"])
    there, here = collect(results), collect(lazy)
    for name, table in there.items():
        assert_frame_equal(here[name], table)
