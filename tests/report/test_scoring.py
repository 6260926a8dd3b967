"""Each choice of scoring moves what it should and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from retinoscope.experiments.ablation.grids import ablation_grid
from retinoscope.experiments.ablation.headline import ablation_headline
from retinoscope.experiments.ablation.records import AblationRecord
from retinoscope.experiments.ablation.tables import ablation_table
from retinoscope.experiments.knockout.tables import knockout_table
from retinoscope.report.tables.choices import ALL, BASE, scoring_choices
from retinoscope.report.tables.context import clean_accuracy
from retinoscope.report.tables.headline import headline_row, side_by_side
from retinoscope.results.protocol import CORRECTED, PAPER, SWITCHES, Protocol
from retinoscope.results.schema import frame
from retinoscope.results.store import read

TASKS = ("describe", "poll", "ask", "poll-absent")
SCORING = [switch for switch in SWITCHES if switch.scoring]


def record(
    unit: int, task: str, selection: str, right: bool, original: bool, tokens: int = 4
) -> AblationRecord:
    clean, value = selection == "none" or not tokens, "" if selection == "none" else "mean"
    probabilities = (0.9, None, original, 0.95) if clean else (0.2, None, original, 0.7)
    texts = ("dog", task, "q", selection, "", 0, value, tokens, "a")
    return AblationRecord(unit, 1, *texts, right, *probabilities)


def rows() -> pl.DataFrame:
    """Eight units a task: every way in which clean, ablated and the original's test can fall.

    Half of the images have register tokens.
    """
    made = []
    for task in TASKS:
        for unit in range(8):
            was, stays, original = bool(unit & 1), bool(unit & 2), bool(unit & 4)
            made.append(record(unit, task, "none", was, was or original))
            made.append(record(unit, task, "object", stays, stays or original))
            if task != "poll-absent":
                some = (stays, stays or original, 3) if unit < 4 else (was, was or original, 0)
                made.append(record(unit, task, "register", *some))
    return frame("ablation", made)


def by_task(protocol: Protocol, selection: str = "object") -> dict[str, dict]:
    table = ablation_table(rows(), protocol).filter(selection=selection)
    return {row["task"]: row for row in table.to_dicts()}


@pytest.mark.parametrize("switch", SCORING, ids=lambda switch: switch.name)
def test_a_choice_moves_its_own_tasks_and_measure_alone(switch) -> None:
    selection = "register" if switch.name == "clean_registers" else "object"
    corrected = by_task(CORRECTED, selection)
    other = by_task(replace(CORRECTED, **{switch.name: True}), selection)
    measured = ("n", "wrong", "decrease") if switch.measure == "decrease" else ("drop",)
    for task in corrected:
        moved = [name for name in measured if corrected[task][name] != other[task][name]]
        assert bool(moved) == (task in (*switch.tasks, *_control(switch.measure)))
        untouched = {"n", "wrong", "decrease"} - {*measured}
        assert all(corrected[task][name] == other[task][name] for name in untouched)


def _control(measure: str) -> tuple[str, ...]:
    """The control's probability is recorded like any other, so its drop moves too."""
    return ("poll-absent",) if measure == "drop" else ()


def test_every_poll_counts_when_none_is_conditioned() -> None:
    poll = by_task(Protocol(unconditioned_poll=True))["poll"]
    assert (poll["n"], poll["wrong"]) == (8, 4)
    assert poll["decrease"] == 1 - poll["accuracy"]
    assert poll["drop_n"] == by_task(CORRECTED)["poll"]["drop_n"] == 4


def test_images_without_register_tokens_are_clean_runs_or_left_out() -> None:
    """Of four units whose clean answer is right two have register tokens, one of which fails."""
    corrected = by_task(CORRECTED, "register")
    original = by_task(Protocol(clean_registers=True), "register")
    assert [*corrected] == [*original] == ["describe", "poll", "ask"]
    for task in corrected:
        one, other = corrected[task], original[task]
        assert (one["with_tokens"], one["in_all"]) == (other["with_tokens"], other["in_all"])
        assert (one["with_tokens"], one["in_all"]) == (2, 4)
        assert (one["asked"], one["n"], one["wrong"], one["tokens"]) == (4, 2, 1, 3)
        assert (other["asked"], other["n"], other["wrong"], other["tokens"]) == (8, 4, 1, 1.5)
        assert one["drop"] == pytest.approx(0.7)
        assert other["drop"] == pytest.approx(0.35)
    objects = by_task(CORRECTED)
    assert objects == by_task(Protocol(clean_registers=True))
    assert all(row["with_tokens"] == row["in_all"] for row in objects.values())


def test_where_no_image_has_register_tokens_the_row_says_so() -> None:
    none = rows().with_columns(
        tokens=pl.when(pl.col("selection") == "register").then(0).otherwise("tokens")
    )
    table = ablation_table(none).filter(selection="register", task="poll")
    (row,) = table.to_dicts()
    assert (row["n"], row["decrease"], row["with_tokens"], row["in_all"]) == (0, None, 0, 4)
    grid = ablation_grid(ablation_table(none), "mean", ("poll",))
    (line,) = [line for line in grid.rows if line[0].text == "register"]
    assert (line[2].text, line[2].detail) == ("\u2013", "0 of 4 have any")


def test_wrong_baselines_stay_wrong() -> None:
    ask, corrected = by_task(Protocol(wrong_baselines=True))["ask"], by_task(CORRECTED)["ask"]
    still_right = corrected["n"] - corrected["wrong"]
    assert (ask["n"], ask["wrong"]) == (corrected["asked"], corrected["asked"] - still_right)
    assert ask["decrease"] > corrected["decrease"]


def test_the_originals_test_of_an_answer_stands_in_for_ours() -> None:
    records = rows()
    original = records.with_columns(right=pl.col("right_original"))
    made = by_task(Protocol(substring_match=True, prefix_match=True))
    for task in ("describe", "poll", "ask"):
        table = ablation_table(original).filter(selection="object")
        wanted = {row["task"]: row for row in table.to_dicts()}[task]
        assert made[task] == wanted


def test_the_drop_is_of_whichever_token_came_first() -> None:
    assert by_task(CORRECTED)["ask"]["drop"] == pytest.approx(0.7)
    assert by_task(Protocol(top_token_drop=True))["ask"]["drop"] == pytest.approx(0.25)


def test_switches_of_measuring_do_not_touch_the_scoring() -> None:
    measuring = {switch.name: True for switch in SWITCHES if not switch.scoring}
    assert by_task(Protocol(**measuring)) == by_task(CORRECTED)


def test_accuracy_of_the_untouched_model_is_scored_alike(run: Path) -> None:
    measured = read(run)
    tables = {**measured.tables, "ablation": rows(), "knockout": frame("knockout", [])}
    results = replace(measured, tables=tables)
    ours = dict(clean_accuracy(results).select("task", "right").iter_rows())
    original = clean_accuracy(results, PAPER)
    assert ours == dict.fromkeys(TASKS, 4)
    assert dict(original.select("task", "right").iter_rows()) == {
        **dict.fromkeys(("describe", "poll", "ask"), 6),
        "poll-absent": 4,
    }


def test_a_run_without_the_originals_tests_is_scored_by_ours(run: Path) -> None:
    records = read(run)["ablation"]
    assert records["right_original"].null_count() == records.height
    named = Protocol(substring_match=True, prefix_match=True)
    assert_frame_equal(ablation_table(records, named), ablation_table(records))


def test_choices_begin_with_ours_and_end_with_the_originals(run: Path) -> None:
    ablation = read(run)["ablation"]
    made = scoring_choices(read(run))
    names = made["name"].unique(maintain_order=True).to_list()
    assert names == [BASE, *(switch.name for switch in SCORING), ALL]
    assert set(made.filter(pl.col("name") == BASE)["change"].drop_nulls()) <= {0.0}
    for name, protocol in ((BASE, CORRECTED), (ALL, PAPER)):
        wanted = ablation_headline(ablation_table(ablation, protocol))
        mine = made.filter(pl.col("name") == name, experiment="ablation")
        assert_frame_equal(mine.select(wanted.columns), wanted)


def test_the_choices_alone_and_together_keep_their_order(run: Path) -> None:
    """Counting the questions that were wrong from the start can only raise a decrease."""
    made = scoring_choices(read(run))
    for name in ("unconditioned_poll", "wrong_baselines"):
        moved = made.filter(pl.col("name") == name, pl.col("measure") == "decrease")
        assert all(change >= 0 for change in moved["change"].drop_nulls())
        assert any(change > 0 for change in moved["change"].drop_nulls())
    cuts = knockout_table(read(run)["knockout"], Protocol(wrong_baselines=True))
    asked = cuts.filter(task="ask")
    assert (asked["n"] == asked["asked"]).all()
    assert asked["kept"].to_list() == pytest.approx(asked["accuracy"].to_list())


def test_nothing_beside_nothing_is_an_empty_table(run: Path) -> None:
    full = side_by_side({"a": ablation_headline(ablation_table(read(run)["ablation"]))})
    assert side_by_side({}).schema == full.schema
    assert side_by_side({}).height == 0
    absent = side_by_side({"a": ablation_headline(ablation_table(frame("ablation", [])))})
    assert absent.schema == full.schema
    assert absent.height == 0


def test_a_headline_figure_of_an_unknown_measure_is_refused() -> None:
    """Here, and not where two runs are compared, which an experiment's own report never does."""
    with pytest.raises(ValueError, match="'warmth' of globals; give one of decrease"):
        headline_row("globals", "ask", "warmth", "far", {"share": 0.5, "n": 3}, "share", "n")
