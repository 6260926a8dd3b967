"""Both protocols on the embedded model: where they must agree and where they must differ."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from retinoscope.errors import RunError
from retinoscope.experiments import Settings, description
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.ablation.tables import ablation_table
from retinoscope.report.tables.choices import ALL, BASE
from retinoscope.report.tables.collect import collect
from retinoscope.results import CORRECTED, PAPER, Protocol, Results, read, token_indices
from retinoscope.results.protocol import recorded_protocol
from retinoscope.runs import Plan, Silent, run

ablating = import_module("retinoscope.experiments.ablation.measure")
_AN = pl.col("class_name").str.contains("^[aeiou]") | pl.col("prompt").str.contains(" an? [aeiou]")
CONSONANT = ~_AN
"""Rows whose prompt and answer have "a" under either protocol."""

SMALL = Settings(buffers=(0, 1), values=("mean",), max_new_tokens=20)
OWN = {"ablation": AblationSettings(sizes=(5,), gradient_nodes=8)}


def plan(out: Path, protocol: Protocol) -> Plan:
    settings = replace(SMALL, protocol=protocol)
    return Plan(
        out=out,
        data="embedded:20",
        mean_count=4,
        limit=4,
        sheets=0,
        settings=settings,
        own=OWN,
    )


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return read(run(plan(tmp_path_factory.mktemp("runs") / "corrected", CORRECTED), Silent()))


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return read(run(plan(tmp_path_factory.mktemp("runs") / "paper", PAPER), Silent()))


def shared(one: Results, other: Results, table: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of a table of the objects that both runs kept, which must be some."""
    keys = ["image_id", "object_id"]
    both = one[table].join(other[table], on=keys, how="semi").select(keys).unique()
    assert both.height > 0
    first, second = (run[table].join(both, on=keys, how="semi") for run in (one, other))
    return first.sort(first.columns), second.sort(second.columns)


def test_a_run_carries_its_protocol(corrected: Results, paper: Results) -> None:
    assert recorded_protocol(corrected.manifest.configuration) == CORRECTED
    assert recorded_protocol(paper.manifest.configuration) == PAPER
    assert corrected.manifest.key != paper.manifest.key


def test_a_run_does_not_go_on_under_another_protocol(corrected: Results) -> None:
    with pytest.raises(RunError, match=r"protocol\.double_norm"):
        run(plan(corrected.path, Protocol(double_norm=True)), Silent())


def test_both_saw_the_same_descriptions(corrected: Results, paper: Results) -> None:
    seen = ["image_id", "object_id", "object_tokens", "answer_whole"]
    one, other = shared(corrected, paper, "curation")
    assert_frame_equal(one.select(seen), other.select(seen))


def test_sets_that_no_gradient_chose_are_measured_alike(corrected: Results, paper: Results) -> None:
    """The embedded scenes are square and their patches whole pixels: geometry agrees there."""
    one, other = shared(corrected, paper, "ablation")
    ungraded = (pl.col("selection") != "gradients") & CONSONANT
    assert one.filter(ungraded).height > 0
    # Other gradients share the passes, so that sums round otherwise.
    assert_frame_equal(one.filter(ungraded), other.filter(ungraded), abs_tol=1e-4)
    one, other = shared(corrected, paper, "knockout")
    unmoved = (pl.col("target") != "last row") & CONSONANT
    assert_frame_equal(one.filter(unmoved), other.filter(unmoved), abs_tol=1e-4)


def test_keys_in_the_last_row_are_cut_under_the_originals_protocol_alone(
    corrected: Results, paper: Results
) -> None:
    keys = ["image_id", "object_id", "task", "group", "target", "window"]
    row = pl.col("target") == "last row"
    one, other = (
        rows.filter(row & (pl.col("group") != "all but last row"))
        for rows in shared(corrected, paper, "knockout")
    )
    both = one.join(other, on=keys, suffix="_paper", validate="1:1")
    assert both.height == one.height
    assert (both["keys_paper"] >= both["keys"]).all()
    assert (both["keys_paper"] > both["keys"]).any()


def test_every_set_of_tokens_can_be_read_from_its_record(
    corrected: Results, paper: Results
) -> None:
    for results in (corrected, paper):
        rows = results["ablation"]
        read_back = [token_indices(text) for text in rows["indices"]]
        assert [len(set(indices)) for indices in read_back] == rows["tokens"].to_list()
        # The embedded model has 144 visual tokens; the original's span is one too long.
        assert max(max(indices, default=0) for indices in read_back) <= 144
        near = {
            name: {
                (row["image_id"], row["object_id"]): set(token_indices(row["indices"]))
                for row in rows.filter(selection=name).iter_rows(named=True)
            }
            for name in ("object", "object+1")
        }
        assert near["object"].keys() == near["object+1"].keys() != set()
        assert all(near["object"][key] < near["object+1"][key] for key in near["object"])
        apart = rows.filter(selection="random", matched="object")
        for row in apart.iter_rows(named=True):
            own = near["object"][row["image_id"], row["object_id"]]
            assert not own & set(token_indices(row["indices"]))


def test_every_object_has_a_register_row_with_or_without_tokens(corrected: Results) -> None:
    rows = corrected["ablation"]
    clean = rows.filter(pl.col("task") != "poll-absent", selection="none")
    registers = rows.filter(selection="register")
    assert registers.height == clean.height
    keys = ["image_id", "object_id", "task", "prompt"]
    both = registers.filter(tokens=0).join(clean, on=keys, suffix="_clean", validate="1:1")
    assert both.height == registers.filter(tokens=0).height
    for name in ("answer", "right"):
        assert both[name].to_list() == both[f"{name}_clean"].to_list()


def test_ending_a_description_early_changes_no_verdict(
    corrected: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ablating, description):
        monkeypatch.setattr(module, "until_settled", lambda *_: lambda _: False)
    plain = read(
        run(replace(plan(tmp_path / "plain", CORRECTED), experiments=("ablation",)), Silent())
    )
    for name in ("curation", "ablation"):
        drop = [column for column in plain[name].columns if column.startswith("answer")]
        one, other = plain[name].drop(drop), corrected[name].drop(drop)
        keys = [column for column in one.columns if one.schema[column] != pl.Float64]
        assert_frame_equal(one.sort(keys), other.sort(keys), abs_tol=1e-4)
    kept = corrected["curation"].filter("kept")["answer_whole"].to_list()
    assert any(text.endswith(" \u2026") for text in kept)
    whole = plain["curation"].filter("kept").sort("object_id")["answer_whole"].to_list()
    kept = corrected["curation"].filter("kept").sort("object_id")["answer_whole"].to_list()
    for short, long in zip(kept, whole, strict=True):
        assert long.startswith(short.removesuffix(" \u2026"))


def test_gradients_choose_other_tokens(corrected: Results, paper: Results) -> None:
    one, other = (
        rows.filter(selection="gradients").drop("answer", "right", "right_original")
        for rows in shared(corrected, paper, "ablation")
    )
    keys = ["image_id", "object_id", "task", "matched", "size", "value", "tokens"]
    both = one.join(other, on=keys, suffix="_paper", validate="1:1")
    assert both.height == one.height == other.height > 0
    assert (both["probability"] != both["probability_paper"]).any()


def test_the_lens_differs_in_the_last_layer_alone(corrected: Results, paper: Results) -> None:
    one, other = shared(corrected, paper, "lens")
    last = pl.col("layer") == one["layer"].max()
    assert_frame_equal(one.filter(~last), other.filter(~last))
    for rows in (one.filter(last), other.filter(last)):
        assert rows.height > 0
    assert (one.filter(last)["log_probability"] != other.filter(last)["log_probability"]).all()


def test_each_report_is_scored_by_its_own_protocol(corrected: Results, paper: Results) -> None:
    for results, protocol, name in ((corrected, CORRECTED, BASE), (paper, PAPER, ALL)):
        tables = collect(results)
        assert_frame_equal(tables["ablation"], ablation_table(results["ablation"], protocol))
        counted = tables["ablation"].filter(pl.col("task") != "poll-absent", value="mean")
        alone = tables["scoring_choices"].filter(
            pl.col("name") == name, experiment="ablation", measure="decrease"
        )
        assert alone["n"].to_list() == counted["n"].to_list()
        assert alone["value"].to_list() == counted["decrease"].to_list()


def test_the_original_counts_every_poll_and_question(paper: Results) -> None:
    table = collect(paper)["ablation"].filter(pl.col("task").is_in(("poll", "ask")))
    assert table.height > 0
    assert (table["n"] == table["asked"]).all()


def test_records_hold_what_both_scorings_need(corrected: Results, paper: Results) -> None:
    for results in (corrected, paper):
        for name in ("ablation", "knockout"):
            rows = results[name]
            scored = rows.filter(pl.col("task") != "poll-absent")
            assert scored["right_original"].null_count() == 0
            known = rows.filter(pl.col("probability").is_not_null())
            assert known["top_probability"].null_count() == 0
            # One token's probability: the likeliest; right ones together may have more.
            single = known.filter(pl.col("task") == "poll", "right")
            assert (single["top_probability"] <= single["probability"] + 1e-6).all()
