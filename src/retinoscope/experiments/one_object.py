"""One object: what an experiment shows of it on the command line (`retinoscope look`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from retinoscope.results.records import SkippedRecord


@dataclass(frozen=True)
class OneObject:
    """What was measured of one object, and how it is shown.

    Attributes:
        records: the rows, frozen dataclasses, as `--json` prints them.
        tables: the same for people.
        note: what whoever reads them should know first; "" for nothing.
        skipped: what could not be measured, and why.
    """

    records: Sequence[Any]
    tables: tuple[Table, ...]
    note: str = ""
    skipped: tuple[SkippedRecord, ...] = ()
