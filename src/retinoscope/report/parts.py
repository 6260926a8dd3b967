"""Parts: what each experiment brings to a report, and which of them a run has."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from matplotlib.figure import Figure

from retinoscope.errors import RegistrationError, RunError
from retinoscope.report.examples import Example
from retinoscope.report.grids import Grid
from retinoscope.report.tables.headline import headline_frame
from retinoscope.report.verdict import Verdict
from retinoscope.results.experiment import Experiment, experiments
from retinoscope.results.protocol import Protocol
from retinoscope.results.sheet import LensSheet
from retinoscope.results.store import Results

Tables = Mapping[str, pl.DataFrame]
"""Name of its file -> table."""


@dataclass(frozen=True)
class Sketch:
    """A figure that can be drawn.

    Attributes:
        name: file name without its ending.
        caption: what it shows, in one or two sentences.
        draw: draws it; None where nothing was measured.
    """

    name: str
    caption: str
    draw: Callable[[], Figure | None]


@dataclass(frozen=True)
class Section:
    """What a report shows of an experiment, beside its figures.

    Attributes:
        title: the heading.
        note: how to read it.
        grids: tables to see.
        folded: tables to open.
        brief: tables for a terminal.
    """

    title: str
    note: str
    grids: tuple[Grid, ...] = ()
    folded: tuple[Grid, ...] = ()
    brief: tuple[Grid, ...] = ()


@dataclass(frozen=True)
class Column:
    """A headline figure by which models are compared, one model to a row.

    Attributes:
        title: the column's heading.
        task, measure, row: which of the experiment's headline figures, see `tables.headline`.
    """

    title: str
    task: str
    measure: str
    row: str


def _no_sketches(tables: Tables) -> Sequence[Sketch]:
    return ()


def _no_verdicts(results: Results, tables: Tables, protocol: Protocol) -> Sequence[Verdict]:
    return ()


def _no_headline(results: Results, protocol: Protocol) -> pl.DataFrame:
    return headline_frame([])


def _no_examples(
    results: Results, sheets: Mapping[str, LensSheet], protocol: Protocol
) -> Sequence[Example]:
    return ()


@dataclass(frozen=True)
class Report:
    """How an experiment's records become tables, figures, a section and verdicts.

    All are functions, so that only what is wanted is made; none may import torch.

    Attributes:
        tables: of a run's records under a protocol.
        section: of the tables.
        sketches: the figures, of the tables.
        verdicts: the claims, judged.
        headline: the figures by which runs are compared, see `tables.headline`.
        examples: objects to look at, given the run's lens sheets by file stem.
        clean: which of the records are clean runs, whose accuracy is shown; None where they have
            no `right`.
        scored: whether the protocol's switches of scoring move the headline.
        carrying: names of the tables that carry the verdicts, for a report as data.
        columns: headline figures that stand in the comparison of models.
    """

    tables: Callable[[Results, Protocol], Tables]
    section: Callable[[Tables], Section]
    sketches: Callable[[Tables], Sequence[Sketch]] = _no_sketches
    verdicts: Callable[[Results, Tables, Protocol], Sequence[Verdict]] = _no_verdicts
    headline: Callable[[Results, Protocol], pl.DataFrame] = _no_headline
    examples: Callable[[Results, Mapping[str, LensSheet], Protocol], Sequence[Example]] = (
        _no_examples
    )
    clean: pl.Expr | None = None
    scored: bool = False
    carrying: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Part:
    """An experiment with its report."""

    experiment: Experiment
    report: Report

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.experiment.name


@functools.cache
def every_part() -> tuple[Part, ...]:
    """Every experiment with its report, in a report's order.

    Raises:
        RegistrationError: an experiment's report is none.
    """
    found = []
    for experiment in experiments().values():
        report = experiment.reporting()
        if not isinstance(report, Report):
            raise RegistrationError(
                f"{experiment.report} is the report of the experiment {experiment.name!r}, but it "
                f"is {type(report).__name__}, not a retinoscope.report.parts.Report."
            )
        found.append(Part(experiment, report))
    return tuple(found)


def parts(results: Results) -> tuple[Part, ...]:
    """The parts of one run's report: those that it was asked for.

    Of the paper's experiments all are shown where any was asked for, since its claims are read
    together.

    Raises:
        RunError: the run measured an experiment that is not installed here.
    """
    asked = results.manifest.configuration.get("experiments", ())
    missing = [name for name in asked if name not in experiments()]
    if missing:
        raise RunError(
            f"{results.path} holds the experiments {', '.join(missing)}, which are not installed "
            "here, so that the report would leave them out. Install what brings them."
        )
    papers = {name for name, one in experiments().items() if one.by_default}
    shown = {*asked, *(papers if papers & {*asked} or not asked else ())}
    return tuple(part for part in every_part() if part.name in shown)
