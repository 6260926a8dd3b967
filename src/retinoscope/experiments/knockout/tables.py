"""The knockout table (paper, section 5): where in depth is the object's information read?"""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.knockout.sweep_tables import SWEPT
from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import beside_clean, compare, summarise
from retinoscope.results.protocol import MENDED, Protocol

WINDOWS = ("early", "early-mid", "mid", "mid-late", "late", "all")
GROUPS = ("object", "object+1", "object+2", "all but object+1", "all but last row")
TASKS = ("poll", "ask")
TARGETS = ("last position", "last row")
CONDITION = ("task", "group", "target", "window")


def knockout_table(records: pl.DataFrame, protocol: Protocol = MENDED) -> pl.DataFrame:
    """Decrease, and accuracy relative to clean, of every group, target and window measured.

    The paper quotes accuracy on questions that the whole model gets right; that is `kept`, the
    share of the counted units that is still right, 1 - decrease. `accuracy` counts all units,
    also those the clean run got wrong.

    Args:
        records: the run's knockout records.
        protocol: how they are scored.

    Returns:
        A row for each task, group, target and window that was measured (none is invented):
        first_layer, last_layer; keys and edges (mean number knocked out, in each layer for edges);
        kept with low and high; the columns of `pairing.summarise`. Sorted by task, target,
        group, then window from early to late, "all" last. Single layers and heads have a table of
        their own (`sweep_table`).
    """
    paired = beside_clean(records.filter(~SWEPT), pl.col("window") == "none", protocol)
    table = summarise(paired, CONDITION)
    edges = paired.group_by(CONDITION).agg(
        first_layer=pl.col("first_layer").min(),
        last_layer=pl.col("last_layer").max(),
        keys=pl.col("keys").mean(),
        edges=pl.col("edges").mean(),
    )
    table = table.join(edges, on=list(CONDITION), how="left").with_columns(
        kept=1 - pl.col("decrease"),
        kept_low=1 - pl.col("decrease_high"),
        kept_high=1 - pl.col("decrease_low"),
    )
    first = (
        *CONDITION,
        "first_layer",
        "last_layer",
        "keys",
        "edges",
        "kept",
        "kept_low",
        "kept_high",
    )
    return table.sort(
        rank("task", TASKS),
        "task",
        rank("target", TARGETS),
        rank("group", GROUPS),
        rank("window", WINDOWS),
        "first_layer",
        "last_layer",
        "window",
    ).select(*first, pl.exclude(*first))


def compare_knockouts(
    records: pl.DataFrame,
    first: tuple[str, str],
    second: tuple[str, str],
    protocol: Protocol = MENDED,
) -> pl.DataFrame:
    """McNemar's test between two knockouts in the same window, by task and window.

    Args:
        records: the run's knockout records.
        first: (group, target) of one knockout.
        second: (group, target) of the other.
        protocol: how the records are scored.

    Returns:
        The columns of `pairing.compare` for each window and task that measured both.
    """
    paired = beside_clean(records.filter(~SWEPT), pl.col("window") == "none", protocol)

    def only(which: tuple[str, str]) -> pl.DataFrame:
        return paired.filter((pl.col("group") == which[0]) & (pl.col("target") == which[1]))

    return compare(only(first), only(second), ["window"])
