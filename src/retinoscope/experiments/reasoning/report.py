"""What reasoning brings to a report."""

from __future__ import annotations

from collections.abc import Sequence

from retinoscope.experiments.reasoning.figures import path_curves, swap_curves
from retinoscope.experiments.reasoning.grids import (
    ablations_grid,
    order_grid,
    questions_grid,
    readings_grid,
)
from retinoscope.experiments.reasoning.tables import (
    ablations_table,
    order_table,
    paths_table,
    questions_table,
    readings_table,
    swaps_table,
)
from retinoscope.experiments.reasoning.verdict import reasoning
from retinoscope.report.grids import filled
from retinoscope.report.parts import Report, Section, Sketch, Tables
from retinoscope.report.verdict import Verdict
from retinoscope.results.protocol import Protocol
from retinoscope.results.store import Results

_NOTE = (
    "Anchor: what the question names; between: what a middle step arrives at; answer: the thing "
    "that the answer is about; distractor: a thing without a part. Tokens give way to the mean "
    "token, with one patch around each thing. Questions answered wrongly by the untouched model "
    "are counted and left out. Intervals are 95 %: Wilson's for shares, a bootstrap over images "
    "for means."
)


def _tables(results: Results, protocol: Protocol) -> Tables:
    records = results["reasoning"]
    return {
        "reasoning_questions": questions_table(records),
        "reasoning_ablations": ablations_table(records),
        "reasoning_order": order_table(records),
        "reasoning_paths": paths_table(records),
        "reasoning_swaps": swaps_table(records),
        "reasoning_readings_by_layer": readings_table(results["reasoning_readings"]),
    }


def _section(tables: Tables) -> Section:
    order = filled(order_grid(tables["reasoning_order"]))
    ablations = filled(ablations_grid(tables["reasoning_ablations"]))
    return Section(
        "Reasoning: is a question with steps answered step by step?",
        _NOTE,
        grids=(*order, *ablations),
        folded=filled(
            questions_grid(tables["reasoning_questions"]),
            readings_grid(tables["reasoning_readings_by_layer"]),
        ),
        brief=order,
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    paths, swaps = tables["reasoning_paths"], tables["reasoning_swaps"]
    return (
        Sketch(
            "reasoning-paths",
            "Right answers lost when a path is knocked out from a layer on: attention of the "
            "tokens after the arrow to those before it. Where a curve falls, what the path carries "
            "has arrived. Bands: 95 %.",
            lambda: path_curves(paths),
        ),
        Sketch(
            "reasoning-swaps",
            "Answers that become those of the same kind of question about something else, when its "
            "states are written at one place and layer. Bands: 95 %.",
            lambda: swap_curves(swaps),
        ),
    )


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    return (reasoning(results["reasoning"], tables["reasoning_order"]),)


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    carrying=("reasoning_ablations", "reasoning_order"),
)
