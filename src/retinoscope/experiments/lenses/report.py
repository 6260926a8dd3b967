"""The lenses' part of a report."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from retinoscope.experiments.lenses.figures import curves
from retinoscope.experiments.lenses.grids import cause_grid, summary_grid
from retinoscope.experiments.lenses.tables import by_place, causes, summary
from retinoscope.experiments.lenses.verdict import before_words, used
from retinoscope.report.grids import filled
from retinoscope.report.parts import Report, Section, Sketch, Tables
from retinoscope.report.tables.headline import headline_frame, headline_row
from retinoscope.report.tables.order import shown_tasks
from retinoscope.report.verdict import Verdict
from retinoscope.results.protocol import Protocol
from retinoscope.results.store import Results

_NOTE = (
    "Every lens reads the same states and chooses among the data's classes, so that they can be "
    "compared; the last column lets those that can choose among the whole vocabulary. Lenses are "
    "fitted on images of the run that are not measured. Chance: the class of another image's "
    "object. The causal check pushes object patches half their norm against a lens' direction for "
    "the word, or in a random one; that a class can be read does not show that it is used."
)


def _tables(results: Results, protocol: Protocol) -> Tables:
    places = by_place(results["lenses"])
    return {
        "lenses": summary(places),
        "lenses_by_place": places,
        "lenses_causal": causes(results["lenses_causal"]),
    }


def _section(tables: Tables) -> Section:
    shown = filled(summary_grid(tables["lenses"]))
    found = tables["lenses_causal"]
    return Section(
        "Lenses: is the word there before it can be read?",
        _NOTE,
        grids=shown,
        folded=filled(*(cause_grid(found, task) for task in shown_tasks(found))),
        brief=shown,
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    caption = (
        "Left: the share of object patches whose likeliest class is their own, by lens and layer; "
        "mean over objects. Right: what a push against a lens' direction takes from the answer "
        "more than a random one of the same size, with its 95 % interval."
    )
    places, found = tables["lenses_by_place"], tables["lenses_causal"]
    return (Sketch("lenses", caption, lambda: curves(places, found)),)


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    return (before_words(tables["lenses"]), used(tables["lenses_causal"]))


def _headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    rows = []
    for row in summary(by_place(results["lenses"])).iter_rows(named=True):
        for column, where in (("first", "at the embedding output"), ("share", "at its best layer")):
            rows.append(headline_row("lenses", row["lens"], "share", where, row, column))
    return headline_frame(rows)


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    headline=_headline,
    carrying=("lenses", "lenses_causal"),
)
