"""The pairs' part of a report."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from retinoscope.experiments.pairs.figures import leakage_curves, swap_curves
from retinoscope.experiments.pairs.grids import (
    NAMES,
    binding_grid,
    clean_grid,
    leakage_grid,
    other_grids,
    swap_grid,
)
from retinoscope.experiments.pairs.swap_tables import SWAP_TASKS, binding_table, swap_table
from retinoscope.experiments.pairs.tables import (
    TASKS,
    clean_table,
    items,
    leakage_table,
    main_value,
)
from retinoscope.experiments.pairs.verdict import binding, counting, overlap, separation
from retinoscope.report.grids import filled
from retinoscope.report.parts import Report, Section, Sketch, Tables
from retinoscope.report.tables.headline import headline_frame, headline_row
from retinoscope.report.verdict import Verdict
from retinoscope.results.protocol import Protocol
from retinoscope.results.store import Results

_NOTE = (
    "One object of an image is asked about while tokens of another, its own or the background are "
    "replaced. Shares are of questions that the untouched model answers rightly. \u201cDrop\u201d "
    "is the lost share of the logit differences between right answers and the best wrong ones; "
    "below 0 they grew. \u201cAlone\u201d leaves out patches that both objects lie on. Below, "
    "the blocks of patches around two objects change places at one layer: an answer that stays "
    "follows the tokens, one that becomes the other object's follows the slot in the sequence."
)


def _tables(results: Results, protocol: Protocol) -> Tables:
    return {
        "pairs": leakage_table(items(results["pairs"])),
        "pairs_clean": clean_table(results["pairs"]),
        "pairs_swaps": swap_table(results["swaps"]),
        "pairs_binding": binding_table(results["swaps"]),
    }


def _section(tables: Tables) -> Section:
    leaks, swaps, bound = (tables[name] for name in ("pairs", "pairs_swaps", "pairs_binding"))
    tasks = [task for task in TASKS if task in leaks["task"]]
    main = filled(*(leakage_grid(leaks, task) for task in tasks), binding_grid(bound))
    exchanged = [task for task in SWAP_TASKS if task in swaps["task"]]
    return Section(
        "Several objects: do they stay apart?",
        _NOTE,
        grids=main,
        folded=filled(
            clean_grid(tables["pairs_clean"]),
            *(grid for task in tasks for grid in other_grids(leaks, task)),
            *(swap_grid(swaps, task) for task in exchanged),
        ),
        brief=main,
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    return (
        Sketch(
            "pairs-leakage",
            "Share of right answers about one object that change when tokens are replaced, by how "
            "much the two objects, of different classes, overlap. Bars: 95 % intervals.",
            lambda: leakage_curves(tables["pairs"]),
        ),
        Sketch(
            "pairs-swaps",
            "Two objects' blocks of patches change places at one layer (0 is the input). Bands: "
            "95 % intervals.",
            lambda: swap_curves(tables["pairs_swaps"]),
        ),
    )


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    found = items(results["pairs"])
    return (
        separation(found),
        overlap(found),
        counting(found),
        binding(tables["pairs_binding"]),
    )


def _headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    table = leakage_table(items(results["pairs"]))
    rows = []
    for one in ("own+1", "other+1", "background"):
        here = table.filter(pl.col("by") == "all", pl.col("set") == one)
        for row in here.filter(pl.col("value") == main_value(table)).iter_rows(named=True):
            rows.append(
                headline_row("pairs", row["task"], "decrease", NAMES[one], row, "changed", "n")
            )
    return headline_frame(rows)


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    headline=_headline,
    carrying=("pairs", "pairs_binding"),
)
