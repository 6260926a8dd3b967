"""Runs side by side: one row each, with what each of them measured and judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from retinoscope.cli.main import commands
from retinoscope.errors import RunError
from retinoscope.report.compare import (
    columns_figure,
    columns_grid,
    columns_table,
    compare,
    compare_page,
    is_observational,
    verdicts_grid,
)
from retinoscope.report.page import judged
from retinoscope.report.tables.collect import collect
from retinoscope.results import read
from retinoscope.results.store import Results
from tests.report.browsing import Open, wide_tables


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., Path]
) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("compare")
    return (
        write_run(folder / "first", objects=12, sheets=0),
        write_run(folder / "second", objects=9, sheets=0),
    )


def test_a_column_is_the_headline_figure_that_its_report_shows(runs: tuple[Path, Path]) -> None:
    results = [read(run) for run in runs]
    table = columns_table(results)
    for run, one in zip(table["name"].unique(maintain_order=True), results, strict=True):
        peak = table.filter(name=run, title="lens share at its peak").row(0, named=True)
        summary = collect(one)["lens_summary"].filter(measure="strict").row(0, named=True)
        assert peak["value"] == summary["peak_share"]
        assert peak["n"] == summary["objects"]


def test_every_run_has_a_row_and_every_verdict_its_word(runs: tuple[Path, Path]) -> None:
    results = [read(run) for run in runs]
    grid = columns_grid(columns_table(results))
    assert [row[0].text for row in grid.rows] == ["first (corrected)", "second (corrected)"]
    assert all(len(row) == len(grid.heads) for row in grid.rows)
    claims = verdicts_grid(results)
    for row, one in zip(claims.rows, results, strict=True):
        outcomes = {verdict.name: verdict.outcome for verdict in judged(one, collect(one))}
        assert dict(zip(claims.heads[1:], (c.text for c in row[1:]), strict=True)) == outcomes


def test_what_a_run_did_not_measure_is_a_dash(runs: tuple[Path, Path]) -> None:
    first, second = (read(run) for run in runs)
    tables = {**second.tables, "lens": second["lens"].clear()}
    table = columns_table([first, replace(second, tables=tables)])
    (missing,) = table.filter(name="second (corrected)", title="lens share at its peak").to_dicts()
    assert missing["value"] is None
    assert columns_grid(table).rows[1][5].text == "–"
    assert columns_figure(table) is not None


def test_only_variants_of_one_another_are_more_than_observations(
    runs: tuple[Path, Path],
) -> None:
    results = [read(run) for run in runs]

    def named(one: Results, name: str) -> Results:
        model = replace(one.manifest.model, name=name)
        return replace(one, manifest=replace(one.manifest, model=model))

    variants = [named(one, f"embedded/V{i}") for i, one in enumerate(results)]
    assert is_observational([results[0], named(results[1], "another")])
    assert is_observational([variants[0], results[1]])
    # One model twice: what differs is no choice of the model's.
    assert not is_observational(results)
    assert not is_observational(variants)
    assert "Observational" in compare_page([variants[0], results[1]])
    assert "Observational" not in compare_page(variants)


def test_the_command_writes_the_page_and_its_tables(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    arguments = ["compare", *map(str, runs), "--out", str(tmp_path / "out"), "--json"]
    told = json.loads(CliRunner().invoke(commands, arguments).output)
    assert Path(told["page"]).is_file()
    columns = pl.read_csv(tmp_path / "out" / "columns.csv")
    assert columns.height == len(told["columns"])
    assert (tmp_path / "out" / "figures.csv").is_file()


@pytest.mark.browser
def test_on_a_phone_no_table_has_to_be_scrolled(
    runs: tuple[Path, Path], tmp_path: Path, opened: Open
) -> None:
    page = opened(compare(runs, tmp_path), 400)
    assert wide_tables(page) == []
    first = page.locator("#models tbody td").first
    heading = first.get_attribute("data-head")
    told = first.evaluate("(cell) => getComputedStyle(cell, '::before').content")
    assert heading and heading in told


def test_one_run_is_nothing_to_compare(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least two"):
        compare(runs[:1], tmp_path)
