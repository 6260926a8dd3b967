"""The sweep table: one knockout at every single layer, and at every single head of every layer."""

from __future__ import annotations

import polars as pl

from retinoscope.report.tables.blocks import Records, blocks
from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import beside_clean, summarise, tally
from retinoscope.results.protocol import CORRECTED, Protocol

SWEPT = pl.col("window").str.starts_with("layer ")
"""Which knockout records belong to a sweep."""

_CONDITION = ("task", "group", "target", "layer", "head")


def sweep_table(records: Records, protocol: Protocol = CORRECTED) -> pl.DataFrame:
    """Mean drop of the right token's probability, and decrease, of every single layer and head.

    Args:
        records: the run's knockout records.
        protocol: how they are scored.

    Returns:
        A row for each task, group, target, layer and head that was measured, head being null
        where all heads of the layer were knocked out; the columns of `pairing.summarise`. Sorted by
        task, layer, then head, the whole layer first.
    """
    tallies = []
    for block in blocks(records):
        here = block.filter((pl.col("window") == "none") | SWEPT)
        paired = beside_clean(here, pl.col("window") == "none", protocol).with_columns(
            layer=pl.col("first_layer"), head=pl.when(pl.col("head") >= 0).then("head")
        )
        tallies.append(tally(paired, _CONDITION))
    return summarise(tallies, _CONDITION).sort(
        rank("task"), "task", "group", "target", "layer", "head", nulls_last=False
    )


def whole_layers(table: pl.DataFrame, task: str) -> pl.DataFrame:
    """The rows of a task in which all heads of a layer were knocked out, by layer."""
    return table.filter((pl.col("task") == task) & pl.col("head").is_null()).sort("layer")


def single_heads(table: pl.DataFrame, task: str) -> pl.DataFrame:
    """The rows of a task in which one head was knocked out, by layer and head."""
    one = (pl.col("task") == task) & pl.col("head").is_not_null()
    return table.filter(one).sort("layer", "head")
