"""Scoring: a protocol's choices that are made on the records, when a table is made of them."""

from __future__ import annotations

import polars as pl

from retinoscope.results.protocol import Protocol


def scored(records: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """Ablation or knockout records with `right` and `probability` as the protocol wants them.

    Switches: substring_match, prefix_match, top_token_drop. Where the original code has no test
    of an answer (the control), ours stays.
    """
    named = pl.col("task").is_in(("describe", "poll")) & protocol.substring_match
    begun = (pl.col("task") == "ask") & protocol.prefix_match
    original = (named | begun) & pl.col("right_original").is_not_null()
    return records.with_columns(
        right=pl.when(original).then("right_original").otherwise("right"),
        probability="top_probability" if protocol.top_token_drop else "probability",
    )


def counted(paired: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """Say which units a decrease is a share of, and in which nothing was replaced.

    Switches: unconditioned_poll, wrong_baselines, clean_registers. Without them the units that were
    right in the clean run, but for those in which no token was replaced.

    Args:
        paired: rows with task, right_clean, wrong and, of ablations, tokens.
        protocol: the switches.

    Returns:
        The rows with `empty` (the set has no token in this image), `measured` (not empty, or taken
        for a clean run), `eligible` (the clean answer was right, or doesn't matter) and `counted`
        (measured and eligible); where a wrong clean answer counts as wrong whatever comes after
        (the original doesn't go on with such questions), with `wrong` set.
    """
    polls = (pl.col("task") == "poll") & protocol.unconditioned_poll
    questions = (pl.col("task") == "ask") & protocol.wrong_baselines
    empty = pl.col("tokens") == 0 if "tokens" in paired.columns else pl.lit(value=False)
    return paired.with_columns(
        empty=empty,
        measured=~empty | protocol.clean_registers,
        eligible=pl.col("right_clean") | polls | questions,
        wrong=pl.col("wrong") | (questions & ~pl.col("right_clean")),
    ).with_columns(counted=pl.col("measured") & pl.col("eligible"))
