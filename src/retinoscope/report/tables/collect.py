"""All tables of a run, and their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from retinoscope.report.tables.ablation import ablation_table
from retinoscope.report.tables.choices import scoring_choices
from retinoscope.report.tables.context import (
    clean_accuracy,
    curation_by_class,
    curation_table,
    skipped_table,
)
from retinoscope.report.tables.knockout import knockout_table
from retinoscope.report.tables.lens import lens_by_layer, lens_summary
from retinoscope.report.tables.sweep import sweep_table
from retinoscope.results.atomic import replacing
from retinoscope.results.protocol import recorded_protocol
from retinoscope.results.store import Results


@dataclass(frozen=True)
class Tables:
    """Every table of a report.

    Attributes:
        ablation: made by `ablation_table`; the columns stand there, as for the others.
        lens_by_layer: by `lens_by_layer`.
        lens_summary: by `lens_summary`.
        knockout: by `knockout_table`.
        sweep: by `sweep_table`.
        clean_accuracy: by `clean_accuracy`.
        curation: by `curation_table`.
        curation_by_class: by `curation_by_class`.
        skipped: by `skipped_table`.
        scoring_choices: by `scoring_choices`.
    """

    ablation: pl.DataFrame
    lens_by_layer: pl.DataFrame
    lens_summary: pl.DataFrame
    knockout: pl.DataFrame
    sweep: pl.DataFrame
    clean_accuracy: pl.DataFrame
    curation: pl.DataFrame
    curation_by_class: pl.DataFrame
    skipped: pl.DataFrame
    scoring_choices: pl.DataFrame

    def named(self) -> dict[str, pl.DataFrame]:
        """Name -> table, for files and downloads."""
        return dict(vars(self))


def collect(results: Results) -> Tables:
    """Make every table of a run from its records, scored by the run's own protocol.

    Raises:
        RunError: the records hold a condition twice, or the protocol is not known to this version.
    """
    protocol = recorded_protocol(results.manifest.configuration)
    by_layer = lens_by_layer(results["lens"])
    return Tables(
        ablation=ablation_table(results["ablation"], protocol),
        lens_by_layer=by_layer,
        lens_summary=lens_summary(results["lens"], by_layer),
        knockout=knockout_table(results["knockout"], protocol),
        sweep=sweep_table(results["knockout"], protocol),
        clean_accuracy=clean_accuracy(results["ablation"], results["knockout"], protocol),
        curation=curation_table(results["curation"]),
        curation_by_class=curation_by_class(results["curation"]),
        skipped=skipped_table(results["skipped"]),
        scoring_choices=scoring_choices(results["ablation"], results["knockout"]),
    )


def write_tables(tables: Tables, folder: Path) -> None:
    """Write every table as `<name>.csv`; what was not measured is an empty cell.

    Raises:
        RunError: the folder can't be written.
    """
    for name, table in tables.named().items():
        write_table(table, folder / f"{name}.csv")


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write one table; what was not measured is an empty cell.

    Raises:
        RunError: the folder can't be written.
    """
    with replacing(path) as stream:
        stream.write(table.write_csv().encode())
