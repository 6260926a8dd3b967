"""The dataset card of a run: what the hub reads of it, and that it says what the records say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl
import pytest
from huggingface_hub import DatasetCard
from typer.testing import CliRunner

from retinoscope.cli.main import commands
from retinoscope.errors import RunError
from retinoscope.report.card import write_card
from retinoscope.results import read
from retinoscope.results.manifest import write_manifest
from tests.report.conftest import NASTY


def test_the_hub_reads_a_card_and_every_table_that_it_names(
    write_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = write_run(tmp_path / "my-run")
    card = DatasetCard.load(write_card(run))
    data, results = card.data.to_dict(), read(run)
    assert data["pretty_name"] == f"Retinoscope: {results.manifest.name}"
    tables = {one["config_name"]: run / one["data_files"] for one in data["configs"]}
    assert set(tables) == {name for name, table in results.tables.items() if table.height}
    for name, path in tables.items():
        assert pl.read_parquet(path).equals(results[name])
        counted = duckdb.connect().execute(f"SELECT count(*) FROM '{path}'")
        (count,) = counted.fetchall()[0]
        assert f"| `{name}` | {count} |" in card.text
    assert "Localisation" in card.text and "@inproceedings" in card.text


def test_whatever_a_run_is_called_the_card_stays_whole(
    write_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run")
    for name in ("a: b # c", "\"quoted\" - 'x'", "---", "x | y\n# heading", *NASTY[:3]):
        write_manifest(run, replace(read(run).manifest, name=name))
        card = DatasetCard.load(write_card(run))
        assert card.data.to_dict()["pretty_name"] == f"Retinoscope: {name}"
        headings = [line for line in card.text.splitlines() if line.startswith("# ")]
        assert len(headings) == 1 and "<" not in headings[0]


def test_a_run_without_records_has_no_card(write_run: Callable[..., Path], tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", objects=0)
    for table in (run / "records").rglob("*"):
        if table.is_file():
            table.unlink()
    with pytest.raises(RunError):
        write_card(run)


def test_the_command_writes_the_card(write_run: Callable[..., Path], tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", objects=6, sheets=0)
    asked = ["report", str(run)]
    assert CliRunner().invoke(commands, asked).exit_code == 0
    assert not (run / "README.md").exists()
    done = CliRunner().invoke(commands, [*asked, "--card"])
    assert done.exit_code == 0 and f"Card: {run / 'README.md'}" in done.stdout
    DatasetCard.load(run / "README.md")
