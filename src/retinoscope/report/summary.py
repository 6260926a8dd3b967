"""A run's report as data: its verdicts and the tables that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from retinoscope.report.page import judged
from retinoscope.report.parts import Tables, parts
from retinoscope.report.protocol import compare_runs
from retinoscope.results.protocol import protocol_name, recorded_protocol
from retinoscope.results.store import Results


def summary(results: Results, tables: Tables, beside: Sequence[Results] = ()) -> dict[str, Any]:
    """What the report prints in a terminal, as plain values.

    Args:
        results: the run.
        tables: its tables, of `collect`.
        beside: runs whose headline figures are set beside this one's.

    Returns:
        The run's name, status, protocol and counts; each verdict with its checks; the tables'
        rows, as in the run's CSV files; and the rows of the comparison, if there is one.
    """
    manifest = results.manifest
    protocol = recorded_protocol(manifest.configuration)
    found: dict[str, Any] = {
        "run": manifest.name,
        "status": manifest.status,
        "protocol": protocol_name(protocol),
        "counts": dict(manifest.counts),
        "verdicts": [asdict(one) for one in judged(results, tables)],
        "tables": {name: tables[name].to_dicts() for name in _carrying(results)},
    }
    if beside:
        found["beside"] = compare_runs(results, beside).to_dicts()
    return found


def _carrying(results: Results) -> tuple[str, ...]:
    """Names of the tables that the report prints, among its files."""
    return ("clean_accuracy", *(name for part in parts(results) for name in part.report.carrying))
