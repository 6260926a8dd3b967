"""The report page: everything a reader needs to trust a run, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from retinoscope.report import paper
from retinoscope.report.built_in import built_in, model_card
from retinoscope.report.figures.collect import Drawing
from retinoscope.report.grids import Grid, accuracy_grid, plain_grid
from retinoscope.report.parts import Part, Section, Tables, parts
from retinoscope.report.protocol import protocol_section
from retinoscope.report.tables.collect import csv_text
from retinoscope.report.templating import data_uri, fill
from retinoscope.report.verdict import Verdict
from retinoscope.report.visible import visible
from retinoscope.report.wording import chance, count, duration, percent
from retinoscope.results.manifest import Manifest
from retinoscope.results.protocol import recorded_protocol
from retinoscope.results.sheet import LensSheet
from retinoscope.results.statistics import FEWEST
from retinoscope.results.store import Results


@dataclass(frozen=True)
class Fact:
    """A line of what was run.

    Attributes:
        name: what it is.
        values: to see.
        folded: to open, such as the files' hashes.
    """

    name: str
    values: tuple[str, ...]
    folded: tuple[str, ...] = ()


def report_page(
    results: Results,
    tables: Tables,
    drawings: Mapping[str, Sequence[Drawing]],
    sheets: Mapping[str, LensSheet],
    beside: Sequence[Results] = (),
) -> str:
    """The report as HTML.

    Args:
        results: the run.
        tables: its tables.
        drawings: its figures, by experiment.
        sheets: its lens sheets by file stem; pages `lens/<stem>.html` are linked.
        beside: runs to show beside it.
    """
    protocol = recorded_protocol(results.manifest.configuration)
    shown = parts(results)
    trained = built_in(results.manifest.model)
    return fill(
        "report.html",
        scripts=("theme.js", "report-print.js"),
        styles=("base.css", "report.css"),
        manifest=results.manifest,
        facts=facts(results.manifest),
        seconds=duration(results.manifest.seconds),
        verdicts=judged(results, tables),
        foreign=any(not part.experiment.by_default for part in shown),
        built_in=trained,
        card=model_card(results.manifest.model),
        sections=[_shown(part, tables, drawings) for part in shown],
        protocol=protocol_section(results, tables, beside),
        examples=[one for part in shown for one in part.report.examples(results, sheets, protocol)],
        lenses=list(sheets),
        curation=plain_grid("Curation", tables["curation"], ("outcome", "objects", "share")),
        classes=plain_grid(
            "Curation by class",
            tables["curation_by_class"],
            ("class", "looked at", "kept", "mean area (pixels)", "mean object tokens"),
        ),
        skipped=_skipped(tables["skipped"]),
        accuracy=accuracy_grid(tables["clean_accuracy"]),
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
        Fact("model", (model.name, f"revision {model.revision}" if model.revision else ""), files),
        Fact("data", *_apart(manifest.data, ("fingerprint",))),
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
        Fact("configuration", (f"key {manifest.key}",), _settings(manifest)),
    ]


def _settings(manifest: Manifest) -> tuple[str, ...]:
    """The configuration, without the hashes that model and data show already."""
    shown = {"files": manifest.model.files, "fingerprint": manifest.data.get("fingerprint")}
    own = {k: v for k, v in manifest.configuration.items() if k not in shown or shown[k] != v}
    return _lines(own)


def _apart(
    values: Mapping[str, Any], hashes: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Values as lines, and the hashes among them apart."""
    plain = {name: value for name, value in values.items() if name not in hashes}
    return _lines(plain), _lines({name: values[name] for name in hashes if name in values})


@dataclass(frozen=True)
class Shown:
    """A section of the page: what an experiment says, its figures, whether it has lens pages."""

    name: str
    section: Section
    drawings: tuple[Drawing, ...]
    lens_pages: bool


def _shown(part: Part, tables: Tables, drawings: Mapping[str, Sequence[Drawing]]) -> Shown:
    drawn = tuple(drawings.get(part.name, ()))
    return Shown(part.name, part.report.section(tables), drawn, bool(part.experiment.sheets))


def judged(results: Results, tables: Tables) -> list[Verdict]:
    """The verdicts of every experiment of a run."""
    protocol = recorded_protocol(results.manifest.configuration)
    found: list[Verdict] = []
    for part in parts(results):
        found += part.report.verdicts(results, tables, protocol)
    return found


def _skipped(table: pl.DataFrame) -> Grid:
    named = table.with_columns(condition=pl.col("condition").replace("", "whole sample"))
    return plain_grid("Skipped", named, ("where", "condition", "reason", "how often"))


def _version(manifest: Manifest) -> str:
    """The version of Retinoscope that measured; "" where it was run without being installed."""
    version = manifest.versions.get("retinoscope", "")
    return version if version[:1].isdigit() else ""


def _downloads(
    tables: Tables, drawings: Mapping[str, Sequence[Drawing]]
) -> Sequence[tuple[str, str]]:
    """(file name, address) of every table and figure, carried by the page itself."""
    found = [
        (f"{name}.csv", data_uri("text/csv", csv_text(table).encode()))
        for name, table in tables.items()
        if table.height
    ]
    for drawing in (one for several in drawings.values() for one in several):
        name = drawing.name
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
