"""The knockout table (paper, section 5): where in depth is the object's information read?"""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.knockout.sweep_tables import SWEPT
from retinoscope.report.tables.blocks import Records, blocks
from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import beside_clean, compare, pooled, summarise, tally
from retinoscope.results.protocol import CORRECTED, Protocol

WINDOWS = ("early", "early-mid", "mid", "mid-late", "late", "all")
GROUPS = ("object", "object+1", "object+2", "all but object+1", "all but last row")
TASKS = ("poll", "ask")
TARGETS = ("last position", "last row")
CONDITION = ("task", "group", "target", "window")


def knockout_table(records: Records, protocol: Protocol = CORRECTED) -> pl.DataFrame:
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
    tallies, removed = [], []
    for block in blocks(records):
        paired = beside_clean(block.filter(~SWEPT), pl.col("window") == "none", protocol)
        tallies.append(tally(paired, CONDITION))
        removed.append(paired.group_by(CONDITION).agg(*_removed(pl.col("first_layer").len())))
    table = summarise(tallies, CONDITION)
    sums = pl.concat(removed).group_by(CONDITION).agg(*_removed(pl.col("rows").sum()))
    means = sums.with_columns(pl.col("keys", "edges") / pl.col("rows")).drop("rows")
    table = table.join(means, on=list(CONDITION), how="left").with_columns(
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


def _removed(rows: pl.Expr) -> list[pl.Expr]:
    """What was removed under a condition, by its rows or by what is known of some of them."""
    return [
        pl.col("first_layer").min(),
        pl.col("last_layer").max(),
        pl.col("keys", "edges").sum(),
        rows.alias("rows"),
    ]


def compare_knockouts(
    records: Records,
    first: tuple[str, str],
    second: tuple[str, str],
    protocol: Protocol = CORRECTED,
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

    def only(paired: pl.DataFrame, which: tuple[str, str]) -> pl.DataFrame:
        return paired.filter((pl.col("group") == which[0]) & (pl.col("target") == which[1]))

    tests = []
    for block in blocks(records):
        paired = beside_clean(block.filter(~SWEPT), pl.col("window") == "none", protocol)
        tests.append(compare(only(paired, first), only(paired, second), ["window"]))
    return pooled(tests, ["window", "task"])
