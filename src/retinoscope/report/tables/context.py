"""What stands around the results: clean accuracy, curation, what was skipped."""

from __future__ import annotations

import polars as pl

from retinoscope.report.parts import parts
from retinoscope.report.tables.order import rank
from retinoscope.report.tables.scoring import scored
from retinoscope.results.protocol import CORRECTED, Protocol
from retinoscope.results.statistics import rate
from retinoscope.results.store import Results


def clean_accuracy(results: Results, protocol: Protocol = CORRECTED) -> pl.DataFrame:
    """How often the model is right when nothing is touched, by experiment and task.

    Args:
        results: the run.
        protocol: how its records are scored.

    Returns:
        A row for each experiment and task: n, right, accuracy, accuracy_low, accuracy_high.
        Decreases are shares of `right`, unless the protocol says otherwise.
    """
    rows = []
    for part in parts(results):
        if part.report.clean is None:
            continue
        clean = results.records(part.name).lazy().filter(part.report.clean).collect()
        runs = scored(clean, protocol)
        for (task,), group in runs.group_by(["task"]):
            share = rate(int(group["right"].sum()), group.height)
            rows.append((part.name, task, share.n, share.hits, share.value, share.low, share.high))
    schema = {"experiment": pl.String, "task": pl.String, "n": pl.Int64, "right": pl.Int64}
    intervals = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high"), pl.Float64)
    table = pl.DataFrame(rows, schema=schema | intervals, orient="row")
    return table.sort("experiment", rank("task"), "task")


def curation_table(records: pl.DataFrame) -> pl.DataFrame:
    """How many objects curation kept (paper, section 3.1), and why it left the others out.

    Args:
        records: the run's curation records.

    Returns:
        Rows (outcome, objects, share): looked at; not named in the whole image; still named
        when its pixels are noise; kept. No rows where there was no curation.
    """
    n = records.height
    outcomes = {
        "looked at": n,
        "left out: not named when the image is whole": (~records["named_whole"]).sum(),
        "left out: still named when its pixels are noise": (
            records["named_whole"] & records["named_noised"]
        ).sum(),
        "kept": records["kept"].sum(),
    }
    rows = [(outcome, int(count), rate(int(count), n).value) for outcome, count in outcomes.items()]
    return pl.DataFrame(
        rows if n else [],
        schema={"outcome": pl.String, "objects": pl.Int64, "share": pl.Float64},
        orient="row",
    )


def curation_by_class(records: pl.DataFrame) -> pl.DataFrame:
    """Objects looked at and kept, by class, the commonest first."""
    return (
        records.group_by("class_name")
        .agg(
            looked_at=pl.len().cast(pl.Int64),
            kept=pl.col("kept").sum().cast(pl.Int64),
            area=pl.col("area").mean(),
            object_tokens=pl.col("object_tokens").mean(),
        )
        .sort("looked_at", "class_name", descending=[True, False])
    )


def skipped_table(records: pl.DataFrame) -> pl.DataFrame:
    """What was not measured, and why: experiment, condition, reason, count; the commonest first."""
    return (
        records.group_by("experiment", "condition", "reason")
        .agg(count=pl.len().cast(pl.Int64))
        .sort("count", "experiment", "condition", "reason", descending=[True, False, False, False])
    )
