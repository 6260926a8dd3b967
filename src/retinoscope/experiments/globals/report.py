"""The global features' part of a report."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from retinoscope.experiments.globals.figures import need_bars, read_curves
from retinoscope.experiments.globals.grids import (
    answer_grid,
    asked_grid,
    kind_grid,
    probe_grid,
    read_grid,
)
from retinoscope.experiments.globals.tables import (
    TASKS,
    answer_table,
    asked_table,
    kind_table,
    probe_table,
    read_table,
)
from retinoscope.experiments.globals.verdict import global_features, outlier_tokens
from retinoscope.report.grids import filled
from retinoscope.report.parts import Report, Section, Sketch, Tables
from retinoscope.report.tables.headline import headline_frame, headline_row
from retinoscope.report.verdict import Verdict
from retinoscope.results.protocol import Protocol
from retinoscope.results.store import Results

_NOTE = (
    "What do background patches say of objects elsewhere, and does an answer need it? The lens "
    "reads each patch's first word; chance is how often it is a class of other images with as many "
    "classes. Kinds of tokens are found in each image's data. \u201cWithout it\u201d replaces a "
    "kind; \u201cwith it alone\u201d replaces all other visual tokens; \u201crandom\u201d does the "
    "same with as many tokens drawn from all. Shares are of questions that the untouched model "
    "answers rightly."
)


def _tables(results: Results, protocol: Protocol) -> Tables:
    return {
        "globals": answer_table(results["globals"]),
        "globals_asked": asked_table(results["globals"], results["skipped"]),
        "globals_read": read_table(results["globals_read"]),
        "globals_types": kind_table(results["globals_types"]),
        "globals_probes": probe_table(results["globals_probes"]),
    }


def _section(tables: Tables) -> Section:
    answers, read, found = (tables[n] for n in ("globals", "globals_read", "globals_types"))
    tasks = [task for task in TASKS if task in answers["task"]]
    asked = asked_grid(tables["globals_asked"])
    main = filled(kind_grid(found), asked, *(answer_grid(answers, task) for task in tasks))
    return Section(
        "Global features: genuine, and used?",
        _NOTE,
        grids=main,
        folded=filled(
            probe_grid(tables["globals_probes"]),
            read_grid(read, "far background"),
            read_grid(read, "object"),
        ),
        brief=main[:2],
    )


def _sketches(tables: Tables) -> Sequence[Sketch]:
    return (
        Sketch(
            "globals-read",
            "Patches that decode to a class of their image, 2 or more patches from any object and "
            "on objects. Bands: 95 % intervals over images.",
            lambda: read_curves(tables["globals_read"]),
        ),
        Sketch(
            "globals-need",
            "Share of right answers that change without a kind of visual tokens, and with it "
            "alone; hollow: as many tokens at random. Bars: 95 % intervals.",
            lambda: need_bars(tables["globals"]),
        ),
    )


def _verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    answers = results["globals"]
    return global_features(answers, results["globals_read"]), outlier_tokens(
        answers, tables["globals_types"]
    )


def _headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    table = answer_table(results["globals"]).filter(
        pl.col("token_type") == "far background", ~pl.col("random")
    )
    named = {"ablate": "without far background", "keep": "with far background alone"}
    rows = [
        headline_row("globals", row["task"], "decrease", named[row["mode"]], row, "changed", "n")
        for row in table.iter_rows(named=True)
        if row["mode"] in named
    ]
    return headline_frame(rows)


REPORT = Report(
    tables=_tables,
    section=_section,
    sketches=_sketches,
    verdicts=_verdicts,
    headline=_headline,
    carrying=("globals", "globals_read", "globals_types"),
)
