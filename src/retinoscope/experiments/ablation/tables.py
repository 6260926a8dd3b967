"""The ablation table (paper, section 3): which tokens, when replaced, make the answer wrong."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from retinoscope.report.tables.blocks import Records, blocks
from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import beside_clean, compare, pooled, summarise, tally
from retinoscope.report.wording import readable
from retinoscope.results.protocol import CORRECTED, Protocol

VALUES = ("mean", "zero", "noise", "resampled")
"""Replacement values in the order of the tables; the paper has the mean alone."""

CONDITION = ("value", "selection", "matched", "size")
_NAMES = {
    "only_first_wrong": "only_this_wrong",
    "only_second_wrong": "only_random_wrong",
    "p": "mcnemar_p",
}
_SELECTIONS = ("object", "object+1", "object+2", "register", "random", "gradients")


def ablation_table(records: Records, protocol: Protocol = CORRECTED) -> pl.DataFrame:
    """Decrease, probability drop and the test against matched random tokens.

    Only units that were right when clean are counted, in every task, unless the protocol says
    otherwise. "poll-absent" is the control: right is "no", a decrease is a "yes"
    about an object that is not there.

    Args:
        records: the run's ablation records, whole or lazy.
        protocol: how they are scored.

    Returns:
        A row for each value, selection and task: label; tokens (mean number replaced, over the
        objects that were measured); the columns of `pairing.summarise`; with_tokens and in_all (of
        the units whose clean answer lets them count, those whose set has a token, and all: they
        differ where images have no register tokens); pairs, only_this_wrong, only_random_wrong
        and mcnemar_p against as many random tokens of the same image (null where there is no
        such set). Sorted as in the paper.
    """
    keys = [*CONDITION, "task"]
    tallies, tokens, counts, tests = [], [], [], []
    for block in blocks(records):
        paired = beside_clean(block, pl.col("selection") == "none", protocol)
        tallies.append(tally(paired, keys))
        tokens.append(_tokens(paired))
        counts.append(_both_counts(paired))
        tests.append(_against_random(paired))
    table = summarise(tallies, keys)
    table = table.join(_mean_tokens(tokens), on=list(CONDITION), how="left")
    table = table.join(pl.concat(counts).group_by(keys).sum(), on=keys, how="left")
    table = table.join(pooled(tests, keys).rename(_NAMES), on=keys, how="left")
    table = table.with_columns(
        label=pl.struct("selection", "matched", "size").map_elements(
            lambda row: label(row["selection"], row["matched"], row["size"]),
            return_dtype=pl.String,
        )
    )
    return _ordered(table).select(
        *CONDITION, "label", "task", "tokens", pl.exclude(*CONDITION, "label", "task", "tokens")
    )


def label(selection: str, matched: str, size: int) -> str:
    """What to call a selection in a table."""
    if matched:
        return f"{readable(selection)}, as many as {readable(matched)}"
    return f"{selection} {size}" if size else readable(selection)


def _tokens(paired: pl.DataFrame) -> pl.DataFrame:
    once = paired.unique([*CONDITION, "image_id", "object_id"], keep="first", maintain_order=True)
    replaced = pl.col("tokens").filter("measured")
    return once.group_by(CONDITION).agg(tokens=replaced.sum(), objects=replaced.len())


def _mean_tokens(tokens: Sequence[pl.DataFrame]) -> pl.DataFrame:
    total = pl.concat(tokens).group_by(CONDITION).sum()
    mean = pl.when(pl.col("objects") > 0).then(pl.col("tokens") / pl.col("objects"))
    return total.select(*CONDITION, tokens=mean)


def _both_counts(paired: pl.DataFrame) -> pl.DataFrame:
    return paired.group_by([*CONDITION, "task"]).agg(
        with_tokens=(pl.col("eligible") & ~pl.col("empty")).sum().cast(pl.Int64),
        in_all=pl.col("eligible").sum().cast(pl.Int64),
    )


def _against_random(paired: pl.DataFrame) -> pl.DataFrame:
    """McNemar's test of every selection against the random set of its size."""
    # The set that gives the size: the object's own for object selections, else what is matched.
    sized = paired.with_columns(
        partner=pl.when(pl.col("selection").str.starts_with("object"))
        .then(pl.col("selection"))
        .otherwise(pl.col("matched"))
    )
    random = sized.filter(pl.col("selection") == "random")
    # "random 40" is matched with nothing; "gradients 40" compares with it by size.
    by = ["value", "partner", "size"]
    tests = []
    for (selection,), rows in sized.filter(pl.col("selection") != "random").group_by(
        ["selection"], maintain_order=True
    ):
        compared = compare(rows, random, by)
        tests.append(
            compared.with_columns(
                selection=pl.lit(selection),
                matched=pl.lit("") if str(selection).startswith("object") else pl.col("partner"),
            )
        )
    columns = dict.fromkeys(("pairs", "only_first_wrong", "only_second_wrong"), pl.Int64)
    keys = {name: paired.schema[name] for name in (*CONDITION, "task")}
    empty = pl.DataFrame(schema=keys | columns)
    return pl.concat([empty, *(test.select(empty.columns) for test in tests)])


def _ordered(table: pl.DataFrame) -> pl.DataFrame:
    # A row's family is what it is or, for matched sets, comes after its unmatched sizes.
    return table.sort(
        rank("value", VALUES),
        rank("selection", _SELECTIONS),
        pl.col("matched") != "",
        pl.col("size"),
        rank("matched", _SELECTIONS),
        rank("task"),
        "task",
    )
