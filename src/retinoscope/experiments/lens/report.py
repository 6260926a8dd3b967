"""The logit lens' part of a report."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from retinoscope.experiments.lens.figures import lens_curves
from retinoscope.experiments.lens.grids import lens_layer_grid, lens_summary_grid
from retinoscope.experiments.lens.headline import lens_headline
from retinoscope.experiments.lens.tables import lens_by_layer, lens_summary
from retinoscope.experiments.lens.verdict import refinement
from retinoscope.report.grids import filled
from retinoscope.report.parts import Column, Report, Section, Sketch, Tables
from retinoscope.report.verdict import Verdict
from retinoscope.results.protocol import Protocol
from retinoscope.results.store import Results

_NOTE = (
    "Every visual token's state at every layer is read with the model's own output "
    "matrix. Strict: the first word is the class word's first token; lenient: a piece, "
    "plural or synonym counts too. Tied best layers are averaged. Means are over "
    "objects; their intervals come from a bootstrap over images."
)


def _tables(results: Results, protocol: Protocol) -> Tables:
    by_layer = lens_by_layer(results["lens"])
    return {
        "lens_by_layer": by_layer,
        "lens_summary": lens_summary(results["lens"], by_layer),
    }


def _section(tables: Tables) -> Section:
    summary = filled(lens_summary_grid(tables["lens_summary"]))
    return Section(
        "Logit lens: when does it become a word?",
        _NOTE,
        grids=summary,
        folded=filled(lens_layer_grid(tables["lens_by_layer"])),
        brief=summary,
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    caption = (
        "Logit lens by layer. Shares: mean over objects with its 95 % interval (a bootstrap "
        "over images); the other panels: mean over objects, band from the first to the third "
        "quartile."
    )
    by_layer, summary = tables["lens_by_layer"], tables["lens_summary"]
    return (Sketch("lens-layers", caption, lambda: lens_curves(by_layer, summary)),)


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    return (refinement(tables["lens_summary"], tables["lens_by_layer"]),)


def _headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    tables = _tables(results, protocol)
    return lens_headline(tables["lens_summary"], tables["lens_by_layer"])


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    headline=_headline,
    columns=(
        Column("lens share at its peak", "strict", "share", "at the layer of the highest mean"),
        Column("at layer", "strict", "layer", "layer of the highest mean"),
    ),
    carrying=("lens_summary",),
)
