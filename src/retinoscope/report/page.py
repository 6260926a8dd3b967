"""The report page: everything a reader needs to trust a run, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from retinoscope.report import paper
from retinoscope.report.built_in import built_in, model_card
from retinoscope.report.examples import examples
from retinoscope.report.figures.collect import Drawing
from retinoscope.report.grids import (
    Grid,
    ablation_grid,
    accuracy_grid,
    control_grid,
    drop_grid,
    knockout_grid,
    lens_layer_grid,
    lens_summary_grid,
    plain_grid,
)
from retinoscope.report.protocol import protocol_section
from retinoscope.report.sweep_grids import head_grid, layer_grid
from retinoscope.report.tables.ablation import VALUES
from retinoscope.report.tables.collect import Tables
from retinoscope.report.templating import data_uri, fill
from retinoscope.report.verdicts import verdicts
from retinoscope.report.visible import visible
from retinoscope.report.wording import chance, count, duration, percent
from retinoscope.results.manifest import Manifest
from retinoscope.results.protocol import recorded_protocol
from retinoscope.results.sheet import LensSheet
from retinoscope.results.statistics import FEWEST
from retinoscope.results.store import Results

_TASKS = ("describe", "poll", "ask")


@dataclass(frozen=True)
class Fact:
    """A line of what was run: its name and its values."""

    name: str
    values: tuple[str, ...]


def report_page(
    results: Results,
    tables: Tables,
    drawings: Mapping[str, Drawing],
    sheets: Mapping[str, LensSheet],
    beside: Sequence[Results] = (),
) -> str:
    """The report as HTML.

    Args:
        results: the run.
        tables: its tables.
        drawings: its figures, by name.
        sheets: its lens sheets by file stem; pages `lens/<stem>.html` are linked.
        beside: runs to show beside it.
    """
    protocol = recorded_protocol(results.manifest.configuration)
    trained = built_in(results.manifest.model)
    return fill(
        "report.html",
        scripts=("theme.js", "report-print.js"),
        styles=("base.css", "report.css"),
        manifest=results.manifest,
        facts=facts(results.manifest),
        seconds=duration(results.manifest.seconds),
        verdicts=verdicts(tables, results["knockout"], protocol),
        built_in=trained,
        card=model_card() if trained else "",
        sections=_sections(tables, drawings),
        protocol=protocol_section(results, tables, beside),
        examples=examples(results["ablation"], sheets, protocol),
        lenses=list(sheets),
        curation=plain_grid("Curation", tables.curation, ("outcome", "objects", "share")),
        classes=plain_grid(
            "Curation by class",
            tables.curation_by_class,
            ("class", "looked at", "kept", "mean area (pixels)", "mean object tokens"),
        ),
        skipped=_skipped(tables.skipped),
        accuracy=accuracy_grid(tables.clean_accuracy),
        fewest=FEWEST,
        downloads=_downloads(tables, drawings),
        citation=paper.CITATION,
        bibtex=paper.BIBTEX,
        version=_version(results.manifest),
        visible=visible,
        percent=percent,
        chance=chance,
        count=count,
    )


def facts(manifest: Manifest) -> list[Fact]:
    """What was run, as lines to read."""
    model = manifest.model
    files = tuple(f"{name}: SHA-256 {digest}" for name, digest in model.files.items())
    return [
        Fact("command", (manifest.command,)),
        Fact("model", (model.name, f"revision {model.revision}" if model.revision else "", *files)),
        Fact("data", _lines(manifest.data)),
        Fact("counts", tuple(f"{name}: {count(n)}" for name, n in manifest.counts.items())),
        Fact("seeds", _lines(manifest.seeds)),
        Fact("versions", _lines(manifest.versions)),
        Fact("machine", _lines(manifest.machine)),
        Fact(
            "time",
            (
                f"started {manifest.started}",
                f"finished {manifest.finished}" if manifest.finished else "not finished",
                f"took {duration(manifest.seconds)}",
            ),
        ),
        Fact("configuration", (f"key {manifest.key}", *_lines(manifest.configuration))),
    ]


@dataclass(frozen=True)
class Section:
    """One experiment of the report: figures, tables to see, tables to open, a note on reading."""

    name: str
    title: str
    note: str
    drawings: tuple[Drawing, ...]
    grids: tuple[Grid, ...]
    folded: tuple[Grid, ...]


def _sections(tables: Tables, drawings: Mapping[str, Drawing]) -> list[Section]:
    values = [value for value in VALUES if value in tables.ablation["value"]]
    tasks = tables.knockout["task"].unique(maintain_order=True).to_list()
    return [
        Section(
            "ablation",
            "Ablation: where is the object?",
            "Decrease: of the answers that are right when nothing is replaced, the share that "
            "becomes wrong, with its 95 % interval (Wilson). p: McNemar's exact test against as "
            "many random tokens of the same image; not corrected for the number of rows. "
            "\u201cPaper\u201d is LLaVA-1.5-7B on COCO; a dash is a figure we don't know.",
            _chosen(drawings, "ablation-matched", "ablation-sizes"),
            _filled(
                *(ablation_grid(tables.ablation, value, _TASKS) for value in values[:1]),
            ),
            _filled(
                control_grid(tables.ablation),
                *(drop_grid(tables.ablation, value, _TASKS) for value in values[:1]),
                *(ablation_grid(tables.ablation, value, _TASKS) for value in values[1:]),
            ),
        ),
        Section(
            "lens",
            "Logit lens: when does it become a word?",
            "Every visual token's state at every layer is read with the model's own output "
            "matrix. Strict: the first word is the class word's first token; lenient: a piece, "
            "plural or synonym counts too. Ties of layers count as their mean. Means are over "
            "objects; their intervals come from a bootstrap over images.",
            _chosen(drawings, "lens-layers"),
            _filled(lens_summary_grid(tables.lens_summary)),
            _filled(lens_layer_grid(tables.lens_by_layer)),
        ),
        Section(
            "knockout",
            "Attention knockout: who reads it, and when?",
            "Attention from a target position to a group of tokens is forbidden in a window of "
            "layers. Accuracy is relative to the clean run (1.00), as the paper quotes it: "
            "1 \u2212 decrease. A dash was not measured. Sweeps cut one layer, or one head of one "
            "layer, between the object +1 and the last position.",
            _chosen(drawings, "knockout-windows", "knockout-layers", "knockout-heads"),
            _filled(*(knockout_grid(tables.knockout, task) for task in tasks)),
            _filled(layer_grid(tables.sweep), *(head_grid(tables.sweep, task) for task in tasks)),
        ),
    ]


def _skipped(table: pl.DataFrame) -> Grid:
    named = table.with_columns(condition=pl.col("condition").replace("", "whole sample"))
    return plain_grid("Skipped", named, ("where", "condition", "reason", "how often"))


def _version(manifest: Manifest) -> str:
    """The version of Retinoscope that measured; "" where it was run without being installed."""
    version = manifest.versions.get("retinoscope", "")
    return version if version[:1].isdigit() else ""


def _chosen(drawings: Mapping[str, Drawing], *names: str) -> tuple[Drawing, ...]:
    return tuple(drawings[name] for name in names if name in drawings)


def _filled(*grids: Grid) -> tuple[Grid, ...]:
    return tuple(grid for grid in grids if grid.rows)


def _downloads(tables: Tables, drawings: Mapping[str, Drawing]) -> Sequence[tuple[str, str]]:
    """(file name, address) of every table and figure, carried by the page itself."""
    found = [
        (f"{name}.csv", data_uri("text/csv", table.write_csv().encode()))
        for name, table in tables.named().items()
        if table.height
    ]
    for name, drawing in drawings.items():
        found.append((f"{name}.svg", data_uri("image/svg+xml", drawing.file)))
        found.append((f"{name}.pdf", data_uri("application/pdf", drawing.pdf)))
    return found


def _lines(values: Mapping[str, Any], prefix: str = "") -> tuple[str, ...]:
    """Nested values as lines "a.b: value"."""
    lines: list[str] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += _lines(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            lines.append(f"{prefix}{name}: {', '.join(map(str, value))}")
        else:
            lines.append(f"{prefix}{name}: {value}")
    return tuple(lines)
