"""The flow experiment's part of a report."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from retinoscope.experiments.flow.agreement import agreement_table, block_map
from retinoscope.experiments.flow.block_figure import block_figure
from retinoscope.experiments.flow.figures import curve_figure, cut_figure
from retinoscope.experiments.flow.grids import (
    agreement_grid,
    cut_grid,
    gap_grid,
    item_grid,
    pair_grid,
    score_grid,
)
from retinoscope.experiments.flow.headline import flow_headline
from retinoscope.experiments.flow.records import FORMS, QUERIES
from retinoscope.experiments.flow.tables import (
    areas,
    curves,
    cut_table,
    gap_table,
    items,
    pair_table,
    score_table,
)
from retinoscope.experiments.flow.verdict import flow_verdict
from retinoscope.report.grids import filled
from retinoscope.report.parts import Report, Section, Sketch, Tables
from retinoscope.report.tables.order import shown_tasks
from retinoscope.report.verdict import Verdict
from retinoscope.results.protocol import Protocol
from retinoscope.results.store import Results

_NOTE = (
    "Every score orders an image's visual tokens. Deletion ablates the first 1, 2, 4, ... of them, "
    "insertion all others; a curve shows what is left of the logit difference of the right answer "
    "and the best wrong one (1 is the clean run), its area is the mean over the sizes. Each item's "
    "share is held between \u22121 and 1.5. Means are over questions answered rightly when clean, "
    "intervals from a bootstrap over images, p from Wilcoxon's signed-rank test over images, "
    "adjusted by Holm."
)


def _tables(results: Results, protocol: Protocol) -> Tables:
    records = results["flow"]
    found = areas(records)
    cuts = cut_table(results["flow_cuts"])
    return {
        "flow_items": items(records),
        "flow_scores": score_table(found),
        "flow_pairs": pair_table(found),
        "flow_curves": curves(records),
        "flow_layers": cuts,
        "flow_gaps": gap_table(cuts),
        "flow_agreement": agreement_table(results["flow_blocks"], results["flow_cuts"]),
        "flow_map": block_map(results["flow_blocks"]),
    }


def first_value(scores: pl.DataFrame) -> str:
    """What stands in ablated tokens' place in all curves: the value that every score has."""
    counted = scores.group_by("value").agg(pl.len()).sort("len", "value", descending=[True, False])
    return counted["value"][0] if counted.height else "mean"


def _section(tables: Tables) -> Section:
    scores, pairs, cuts = tables["flow_scores"], tables["flow_pairs"], tables["flow_layers"]
    value = first_value(scores)
    main = filled(
        *(score_grid(scores, task, value) for task in shown_tasks(scores)),
    )
    gaps = filled(gap_grid(tables["flow_gaps"]))
    kinds = (*((QUERIES[0], form) for form in FORMS), (QUERIES[1], FORMS[0]))
    others = [one for one in scores["value"].unique(maintain_order=True) if one != value]
    return Section(
        "Attention flow: is rollout evidence of extraction?",
        _NOTE,
        grids=(*filled(item_grid(tables["flow_items"])), *main, *gaps),
        folded=filled(
            pair_grid(pairs),
            *(cut_grid(cuts, task, *kind) for task in shown_tasks(cuts) for kind in kinds),
            agreement_grid(tables["flow_agreement"]),
            *(score_grid(scores, task, one) for task in shown_tasks(scores) for one in others),
        ),
        brief=main,
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    curved, cuts, found = tables["flow_curves"], tables["flow_layers"], tables["flow_map"]
    value = first_value(tables["flow_scores"])
    return (
        Sketch(
            "flow-curves",
            "What is left of the logit difference when the tokens of the highest scores are "
            "deleted (above) or kept alone (below). An order that finds what the answer rests on "
            "falls early above and rises early below. Bands: 95 % intervals, a bootstrap over "
            "images.",
            lambda: curve_figure(curved, value),
        ),
        Sketch(
            "flow-cuts",
            "Mass beside effect: the last position's attention to each group in each layer (left), "
            "and the logit difference lost when it is knocked out there (right; blue where it "
            "rises; bold where p < .05 after Holm over layers and groups).",
            lambda: cut_figure(cuts),
        ),
        Sketch(
            "flow-blocks",
            "One object of each task: what ablating each block of 2 x 2 tokens loses, beside the "
            "share of each score that lies in it. Framed: blocks that touch the object. Green: the "
            "logit difference rises.",
            lambda: block_figure(found),
        ),
    )


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    tasks = shown_tasks(tables["flow_items"])
    return (flow_verdict(tables["flow_pairs"], tasks, first_value(tables["flow_scores"])),)


def _headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    found = areas(results["flow"])
    scores = score_table(found)
    return flow_headline(scores, pair_table(found), first_value(scores))


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    headline=_headline,
    carrying=("flow_pairs",),
)
