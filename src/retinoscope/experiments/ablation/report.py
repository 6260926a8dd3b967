"""The ablation's part of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from retinoscope.experiments.ablation.examples import examples
from retinoscope.experiments.ablation.figures import matched_bars, size_curves
from retinoscope.experiments.ablation.grids import ablation_grid, control_grid, drop_grid
from retinoscope.experiments.ablation.headline import ablation_headline
from retinoscope.experiments.ablation.tables import VALUES, ablation_table
from retinoscope.experiments.ablation.verdict import localisation
from retinoscope.report.examples import Example
from retinoscope.report.grids import filled
from retinoscope.report.parts import Column, Report, Section, Sketch, Tables
from retinoscope.report.tables.blocks import blocks
from retinoscope.report.tables.order import shown_tasks
from retinoscope.report.verdict import Verdict
from retinoscope.results.protocol import Protocol
from retinoscope.results.sheet import LensSheet
from retinoscope.results.store import Results

_NOTE = (
    "Decrease: of the answers that are right when nothing is replaced, the share that "
    "becomes wrong, with its 95 % interval (Wilson). p: McNemar's exact test against as "
    "many random tokens of the same image; not corrected for the number of rows. "
    "\u201cPaper\u201d is LLaVA-1.5-7B on COCO; a dash is a figure we don't know."
)


def _tables(results: Results, protocol: Protocol) -> Tables:
    return {"ablation": ablation_table(results.records("ablation"), protocol)}


def _section(tables: Tables) -> Section:
    table = tables["ablation"]
    values = [value for value in VALUES if value in table["value"]]
    tasks = tuple(shown_tasks(table))
    control = control_grid(table)
    return Section(
        "Ablation: where is the object?",
        _NOTE,
        grids=filled(*(ablation_grid(table, value, tasks) for value in values[:1])),
        folded=filled(
            control,
            *(drop_grid(table, value, tasks) for value in values[:1]),
            *(ablation_grid(table, value, tasks) for value in values[1:]),
        ),
        brief=filled(
            *(ablation_grid(table, value, (task,)) for value in values[:1] for task in tasks),
            control,
        ),
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    table = tables["ablation"]
    return (
        Sketch(
            "ablation-matched",
            "Share of right answers that become wrong when tokens are replaced by the mean visual "
            "token: the object's own (with 0, 1 or 2 tokens around it), and as many others of "
            "the same image. Whiskers: 95 % intervals.",
            lambda: matched_bars(table),
        ),
        Sketch(
            "ablation-sizes",
            "The same by number of tokens replaced: at random, and those of the largest "
            "integrated gradients; diamonds are the object's own tokens. Whiskers: 95 % intervals.",
            lambda: size_curves(table),
        ),
    )


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    return (localisation(tables["ablation"]),)


def _headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    return ablation_headline(ablation_table(results.records("ablation"), protocol))


def _examples(
    results: Results, sheets: Mapping[str, LensSheet], protocol: Protocol
) -> Sequence[Example]:
    return examples(next(blocks(results.records("ablation"))), sheets, protocol)


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    headline=_headline,
    examples=_examples,
    clean=pl.col("selection") == "none",
    scored=True,
    columns=(
        Column("object +1 lost, describe", "describe", "decrease", "object +1"),
        Column("as many random", "describe", "decrease", "random, as many as object +1"),
        Column("object +1 lost, poll", "poll", "decrease", "object +1"),
        Column("object +1 lost, ask", "ask", "decrease", "object +1"),
    ),
    carrying=("ablation",),
)
