"""All tables of a run, and their files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from retinoscope.report.parts import Tables, parts
from retinoscope.report.tables.choices import scoring_choices
from retinoscope.report.tables.context import (
    clean_accuracy,
    curation_by_class,
    curation_table,
    skipped_table,
)
from retinoscope.results.atomic import replacing
from retinoscope.results.protocol import recorded_protocol
from retinoscope.results.store import Results


def collect(results: Results) -> Tables:
    """Make every table of a run from its records, scored by the run's own protocol.

    Returns:
        The experiments' tables by name, in their order; then clean_accuracy, curation,
        curation_by_class, skipped and scoring_choices, made by the functions of these names.

    Raises:
        RunError: the records hold a condition twice, or the protocol is not known to this version.
    """
    protocol = recorded_protocol(results.manifest.configuration)
    found: dict[str, pl.DataFrame] = {}
    for part in parts(results):
        found |= part.report.tables(results, protocol)
    return found | {
        "clean_accuracy": clean_accuracy(results, protocol),
        "curation": curation_table(results["curation"]),
        "curation_by_class": curation_by_class(results["curation"]),
        "skipped": skipped_table(results["skipped"]),
        "scoring_choices": scoring_choices(results),
    }


def write_tables(tables: Tables, folder: Path) -> None:
    """Write every table as `<name>.csv`; what was not measured is an empty cell.

    Raises:
        RunError: the folder can't be written.
    """
    for name, table in tables.items():
        write_table(table, folder / f"{name}.csv")


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write one table; what was not measured is an empty cell.

    Raises:
        RunError: the folder can't be written.
    """
    with replacing(path) as stream:
        stream.write(csv_text(table).encode())


def csv_text(table: pl.DataFrame) -> str:
    """A table as CSV in which no text is a formula.

    A spreadsheet takes a cell that begins with one of =, +, -, @, a tab or a line's end for a
    formula, and a class may be called anything. Such a text gets an apostrophe in front, which
    says "text" to a spreadsheet. Numbers stay as they are.
    """
    text = pl.col(pl.String)
    formula = text.str.contains(r"^[=+\-@\t\r\n]")
    return table.with_columns(
        pl.when(formula).then("'" + text).otherwise(text).name.keep()
    ).write_csv()
