"""A run's tables without the run, for what is judged and drawn of records alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from retinoscope.results.manifest import Manifest, ModelIdentity
from retinoscope.results.schema import frame
from retinoscope.results.store import Results


def results_of(tables: Mapping[str, pl.DataFrame]) -> Results:
    """Results that hold these tables and no skips, of no model and no data."""
    model = ModelIdentity("", "", {})
    manifest = Manifest("", "", {}, "", model, {}, {}, {}, {}, "", "", 0.0, {}, {}, "finished")
    return Results(Path(), manifest, {"skipped": frame("skipped", []), **tables})
