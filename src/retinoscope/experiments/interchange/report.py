"""The interchange's part of a report."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from retinoscope.experiments.interchange.figures import guess_panels, layer_maps
from retinoscope.experiments.interchange.grids import (
    agreement_grid,
    head_grid,
    item_grid,
    path_grid,
    stream_grid,
)
from retinoscope.experiments.interchange.tables import (
    agreement_table,
    cell_table,
    head_table,
    item_table,
    path_table,
)
from retinoscope.experiments.interchange.verdict import approximation, carrier, relay
from retinoscope.report.grids import filled
from retinoscope.report.parts import Report, Section, Sketch, Tables
from retinoscope.report.tables.headline import headline_frame, headline_row
from retinoscope.report.verdict import Verdict
from retinoscope.results.protocol import Protocol
from retinoscope.results.store import Results

RELAYED = ("poll", "ask")
"""Tasks whose way is judged."""

_NOTE = (
    "Two images that differ in one object are run under one question, and states of one are put "
    "into the run of the other, by layer and group of positions. Noising: the clean run with a "
    "part of the corrupt one; what is lost was needed. Denoising: the corrupt run with a part of "
    "the clean one; what comes back was enough. Numbers are shares of the difference between the "
    "two runs' logit differences; they may leave 0 to 100 %, and those of groups need not add up. "
    "\u201cMatched\u201d is the control: as many visual tokens as the object has, elsewhere."
)


def _tables(results: Results, protocol: Protocol) -> Tables:
    return {
        "interchange": cell_table(results["interchange"]),
        "interchange_heads": head_table(results["interchange"]),
        "interchange_paths": path_table(results["interchange_paths"]),
        "interchange_agreement": agreement_table(results["interchange_agreement"]),
        "interchange_items": item_table(results["interchange_items"]),
    }


def _section(tables: Tables) -> Section:
    cells, heads = tables["interchange"], tables["interchange_heads"]
    paths, errors = tables["interchange_paths"], tables["interchange_agreement"]
    return Section(
        "Interchange: which states carry the difference?",
        _NOTE,
        grids=filled(
            item_grid(tables["interchange_items"]), path_grid(paths), agreement_grid(errors)
        ),
        folded=filled(*(stream_grid(cells, d) for d in ("noising", "denoising")), head_grid(heads)),
        brief=filled(path_grid(paths), agreement_grid(errors)),
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    cells, errors = tables["interchange"], tables["interchange_agreement"]
    return (
        Sketch(
            "interchange-layers",
            "The share of the difference between two images that the states of a group of "
            "positions carry at each layer. Left: what is lost when they come from the corrupt "
            "run; right: what is brought back when they come from the clean one.",
            lambda: layer_maps(cells),
        ),
        Sketch(
            "interchange-guesses",
            "What approximations by gradients say of these shares, a point for each layer, group, "
            "task and direction. On the grey line they are right. Rank correlations are within "
            "items, noising and denoising.",
            lambda: guess_panels(cells, errors),
        ),
    )


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    return (
        carrier(results["interchange"]),
        *(relay(results["interchange_paths"], task) for task in RELAYED),
        approximation(tables["interchange_agreement"]),
    )


def _headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    table = cell_table(results["interchange"]).filter(
        (pl.col("layer") == 0) & pl.col("group").is_in(["object", "matched"])
    )
    return headline_frame(
        [
            headline_row(
                *("interchange", row["task"], "carried"),
                *(f"at the input, {row['group']}, {row['direction']}", row, "carried", "n"),
            )
            for row in table.iter_rows(named=True)
        ]
    )


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    headline=_headline,
    carrying=("interchange", "interchange_paths", "interchange_agreement"),
)
