"""The drivers' part of a report."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from retinoscope.experiments.drivers.figures import beside, under_interventions
from retinoscope.experiments.drivers.grids import beside_grid, effect_grid, head_grid, source_grid
from retinoscope.experiments.drivers.tables import answers, by_place, effects, head_answers, shares
from retinoscope.experiments.drivers.verdict import driver, in_place, named, needed_head, used
from retinoscope.report.grids import filled
from retinoscope.report.parts import Report, Section, Sketch, Tables
from retinoscope.report.tables.headline import headline_frame, headline_row
from retinoscope.report.verdict import Verdict
from retinoscope.results.protocol import Protocol
from retinoscope.results.store import Results

_NOTE = (
    "Direct logit attribution shares the word's logit at object patches out over embedding, "
    "attentions and MLPs; the shares add up exactly, with the final norm's scale frozen. An "
    "intervention replaces what one sublayer adds at visual positions, and everything behind it "
    "follows: the total effect. The direct one is what is left of it where all other sublayers "
    "add what they add on the clean run. Shares of the logit and effects need not agree: what a "
    "sublayer writes may be rewritten, or be what others read. Shares of the lens are of each "
    "object at its best layer, means over objects with a bootstrap over images. Answers stand "
    "under the same interventions; those wrong on the clean run are counted (asked, n in the "
    "CSV) and not measured."
)


def _tables(results: Results, protocol: Protocol) -> Tables:
    return {
        "drivers": effects(results["drivers"]),
        "drivers_by_place": by_place(results["drivers"]),
        "drivers_answers": answers(results["drivers_answers"]),
        "drivers_heads": head_answers(results["drivers_answers"]),
        "drivers_shares": shares(results["drivers_shares"]),
    }


def _section(tables: Tables) -> Section:
    lost, said, added = (tables[f"drivers{end}"] for end in ("", "_answers", "_shares"))
    sources = filled(source_grid(lost, said))
    return Section(
        "Drivers: what writes the word into the object's patches?",
        _NOTE,
        grids=(*filled(beside_grid(added, lost, said)), *sources),
        folded=filled(head_grid(added, lost, said, tables["drivers_heads"]), effect_grid(lost)),
        brief=sources,
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    lost, said, added = (tables[f"drivers{end}"] for end in ("", "_answers", "_shares"))
    places = tables["drivers_by_place"]
    return (
        Sketch(
            "drivers-beside",
            "Left: what each sublayer adds to the word's logit at object patches, read at the last "
            "layer. Middle: what the lens' best share loses where what the sublayer adds at visual "
            "positions gives way to its mean over other images. Right: right answers that become "
            "wrong under the same. Bands: 95 % (of answers: in the table).",
            lambda: beside(added, lost, said),
        ),
        Sketch(
            "drivers-layers",
            "The share of object patches that read as the object's word, layer by layer, under "
            "interventions: mean over objects, the band of the clean run 95 %.",
            lambda: under_interventions(places, lost),
        ),
    )


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    lost = tables["drivers"]
    said, heads = tables["drivers_answers"], tables["drivers_heads"]
    return driver(lost), in_place(lost), used(lost, said), needed_head(heads)


def _headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    lost = effects(results["drivers"])
    alone = pl.col("part") == "head"
    chosen = lost.filter((pl.col("region") != "background") & pl.col("value").ne("noise") & ~alone)
    rows = [
        headline_row(
            "drivers", row["part"], "share", f"without {named(row)}, {row['value']}", row, "share"
        )
        for row in chosen.iter_rows(named=True)
    ]
    return headline_frame(rows)


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    headline=_headline,
    carrying=("drivers", "drivers_answers", "drivers_shares"),
)
