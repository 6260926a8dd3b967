"""The knockouts' part of a report, the sweeps with them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from retinoscope.experiments.knockout.figures import knockout_map
from retinoscope.experiments.knockout.grids import knockout_grid
from retinoscope.experiments.knockout.headline import knockout_headline
from retinoscope.experiments.knockout.sweep_figures import head_map, layer_curves
from retinoscope.experiments.knockout.sweep_grids import head_grid, layer_grid
from retinoscope.experiments.knockout.sweep_tables import sweep_table
from retinoscope.experiments.knockout.tables import compare_knockouts, knockout_table
from retinoscope.experiments.knockout.verdict import QUOTED, extraction
from retinoscope.report.grids import filled
from retinoscope.report.parts import Column, Report, Section, Sketch, Tables
from retinoscope.report.verdict import Verdict
from retinoscope.results.protocol import Protocol
from retinoscope.results.store import Results

_NOTE = (
    "Attention from a target position to a group of tokens is knocked out in a window of "
    "layers. Accuracy is relative to the clean run (1.00), as the paper quotes it: "
    "1 \u2212 decrease. A dash was not measured. Sweeps knock out one layer, or one head of one "
    "layer, between the object +1 and the last position."
)


def _tables(results: Results, protocol: Protocol) -> Tables:
    return {
        "knockout": knockout_table(results.records("knockout"), protocol),
        "sweep": sweep_table(results.records("knockout"), protocol),
    }


def _section(tables: Tables) -> Section:
    table, sweep = tables["knockout"], tables["sweep"]
    tasks = table["task"].unique(maintain_order=True).to_list()
    windows = filled(*(knockout_grid(table, task) for task in tasks))
    return Section(
        "Attention knockout: who reads it, and when?",
        _NOTE,
        grids=windows,
        folded=filled(layer_grid(sweep), *(head_grid(sweep, task) for task in tasks)),
        brief=windows,
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    table, sweep = tables["knockout"], tables["sweep"]
    return (
        Sketch(
            "knockout-windows",
            "Share of right answers that become wrong when attention from the target (after the "
            "arrow) to the group (before it) is knocked out in a window of layers. A dash: not "
            "measured.",
            lambda: knockout_map(table),
        ),
        Sketch(
            "knockout-layers",
            "The object +1 knocked out from the last position in one layer at a time: what the "
            "right token's probability loses on average, and the share of right answers that "
            "become wrong, each with its 95 % interval.",
            lambda: layer_curves(sweep),
        ),
        Sketch(
            "knockout-heads",
            "The same in one head of one layer at a time: mean loss of the right token's "
            "probability, in points (hundredths). Orange: the answer loses; blue: it gains. "
            "Bold: some right answers became wrong.",
            lambda: head_map(sweep),
        ),
    )


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    against_row = compare_knockouts(results.records("knockout"), *QUOTED, protocol)
    return (extraction(tables["knockout"], against_row),)


def _headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    return knockout_headline(knockout_table(results.records("knockout"), protocol))


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    headline=_headline,
    clean=pl.col("window") == "none",
    scored=True,
    columns=(
        Column(
            *("object +1 \u2192 last, mid-late, ask", "ask", "decrease"),
            "object +1 \u2192 last position, mid-late",
        ),
        Column(*("all layers, ask", "ask", "decrease"), "object +1 \u2192 last position, all"),
    ),
    carrying=("knockout",),
)
