"""The report says which protocol a run followed, and sets runs side by side."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from retinoscope.errors import RunError
from retinoscope.report.page import report_page
from retinoscope.report.protocol import compare_runs, protocol_section
from retinoscope.report.render import render
from retinoscope.report.tables.collect import collect
from retinoscope.report.terminal import print_report
from retinoscope.results.manifest import read_manifest, write_manifest
from retinoscope.results.protocol import NOT_REPEATED, PAPER, SWITCHES, Protocol
from retinoscope.results.store import Results, read


class Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data


def under(run: Path, protocol: Protocol) -> Path:
    """Write into a run's manifest that it followed a protocol."""
    manifest = read_manifest(run)
    settings = {"settings": {"protocol": asdict(protocol)}}
    write_manifest(run, replace(manifest, configuration={**manifest.configuration, **settings}))
    return run


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., Path]
) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("beside")
    ours = write_run(folder / "ours", objects=12, sheets=0)
    theirs = write_run(folder / "theirs", objects=9, sheets=0)
    return ours, under(theirs, PAPER)


def test_the_section_lists_every_switch_with_its_state(runs: tuple[Path, Path]) -> None:
    for run, state in zip(runs, ("corrected", "original"), strict=True):
        results = read(run)
        section = protocol_section(results, collect(results))
        rows = [tuple(cell.text for cell in row) for row in section.switches.rows]
        assert [row[0] for row in rows] == [switch.name for switch in SWITCHES]
        assert {row[1] for row in rows} == {state}
        assert section.runs.rows == section.beside == ()


def test_a_choices_column_stands_only_where_it_scores(runs: tuple[Path, Path]) -> None:
    results = read(runs[0])
    section = protocol_section(results, collect(results))
    heads = {grid.title: grid.heads[1:] for grid in section.choices}
    assert heads["Ablation, describe: decrease"] == (
        *("corrected", "substring_match", "clean_registers", "all of these"),
    )
    assert heads["Knockout, ask: decrease"] == (
        *("corrected", "prefix_match", "wrong_baselines", "all of these"),
    )
    assert heads["Ablation, ask: drop of probability (0 to 1)"] == ("corrected", "top_token_drop")


def test_a_run_beside_itself_does_not_move(runs: tuple[Path, Path]) -> None:
    results = read(runs[0])
    table = compare_runs(results, [results])
    names = table["name"].unique(maintain_order=True).to_list()
    assert names == ["ours (corrected)", "ours (corrected) #2"]
    assert set(table["change"].drop_nulls()) == {0.0}
    assert table.filter(pl.col("value").is_null() != pl.col("change").is_null()).height == 0


def test_change_is_the_difference_of_the_runs(runs: tuple[Path, Path]) -> None:
    ours, theirs = map(read, runs)
    table = compare_runs(ours, [theirs])
    keys = ["experiment", "task", "measure", "row"]
    first = table.filter(pl.col("name") == "ours (corrected)")
    other = table.filter(pl.col("name") == "theirs (paper)")
    both = other.join(first, on=keys, suffix="_first").drop_nulls("change")
    assert both.height > 0
    difference = both["value"] - both["value_first"]
    assert both["change"].to_list() == pytest.approx(difference.to_list())


def page_of(run: Path, *beside: Path) -> str:
    """The text of a run's report, without figures."""
    results = read(run)
    others = [read(other) for other in beside]
    return Text(report_page(results, collect(results), {}, {}, others)).text


def test_page_and_terminal_show_both(runs: tuple[Path, Path]) -> None:
    ours, theirs = runs
    alone, page = page_of(ours), page_of(ours, theirs)
    for switch in SWITCHES:
        assert switch.name in alone
        assert switch.original in alone
    assert all(original in alone and why in alone for original, why in NOT_REPEATED)
    assert "Protocol: corrected" in alone
    assert "theirs (paper)" not in alone
    assert "This run repeats choices of the original code" not in alone
    assert "This run repeats choices of the original code" in page_of(theirs)
    stream = io.StringIO()
    console = Console(file=stream, width=240, color_system=None)
    results = read(ours)
    print_report(results, collect(results), console, [read(theirs)])
    for text in (page, stream.getvalue()):
        for part in ("ours (corrected)", "theirs (paper)", "Runs side by side", "points"):
            assert part in text, part
        assert "nan" not in text.lower().split()


def test_the_comparison_is_a_file_while_it_is_asked_for(runs: tuple[Path, Path]) -> None:
    ours, theirs = runs
    render(ours, [theirs])
    written = pl.read_csv(ours / "tables" / "beside.csv")
    assert written["name"].unique(maintain_order=True).to_list() == [
        *("ours (corrected)", "theirs (paper)")
    ]
    render(ours)
    assert not (ours / "tables" / "beside.csv").exists()


def test_objects_in_common_are_counted(runs: tuple[Path, Path]) -> None:
    ours, theirs = map(read, runs)
    section = protocol_section(ours, collect(ours), [theirs])
    counts = [tuple(cell.text for cell in row[-2:]) for row in section.runs.rows]
    kept = [set(map(tuple, _kept(run).rows())) for run in (ours, theirs)]
    assert counts == [(str(len(own)), str(len(own & kept[0]))) for own in kept]


def _kept(run: Results) -> pl.DataFrame:
    return run["curation"].filter("kept").select("image_id", "object_id")


def test_a_protocol_of_another_version_is_refused(
    tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    results = read(write_run(tmp_path / "run", objects=2, sheets=0))
    strange = {"settings": {"protocol": {"magic": True}}}
    manifest = replace(results.manifest, configuration=strange)
    with pytest.raises(RunError, match="magic"):
        collect(replace(results, manifest=manifest))
