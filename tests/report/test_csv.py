"""Tables as CSV: no text in them is a formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl
import pytest

from retinoscope.report.tables.collect import csv_text, write_table


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|'/c x'!A1"])
def test_a_text_that_begins_a_formula_is_marked_as_text(text: str, tmp_path: Path) -> None:
    table = pl.DataFrame({"class": [text, "dog"], "value": [-1.5, 2.0]})
    write_table(table, tmp_path / "a.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "a.csv").read_bytes().decode(), newline="")))
    assert rows[1] == [f"'{text}", "-1.5"]
    assert rows[2] == ["dog", "2.0"]


def test_other_tables_are_as_they_were() -> None:
    table = pl.DataFrame({"class": ["dog", None], "n": [1, None]})
    assert csv_text(table) == table.write_csv()
    assert csv_text(pl.DataFrame({"n": [1]})) == "n\n1\n"
