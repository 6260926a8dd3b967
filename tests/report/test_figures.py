"""Figures show what was measured, carry no colour of their own for text, and are repeatable."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from matplotlib.figure import Figure

from retinoscope.experiments.knockout.figures import knockout_map
from retinoscope.experiments.knockout.sweep_figures import STRONGEST, head_map
from retinoscope.report.figures import collect as figures
from retinoscope.report.figures.collect import write_figures
from retinoscope.report.figures.style import INK, alone, svg
from retinoscope.report.parts import Tables, every_part, parts
from retinoscope.report.tables.collect import collect
from retinoscope.report.wording import number
from retinoscope.results.store import read


@pytest.fixture(scope="module")
def tables(run: Path) -> Tables:
    return collect(read(run))


@pytest.fixture(scope="module")
def elements(tables: Tables) -> dict[str, str]:
    return {name: svg(figure, name) for name, figure in drawn(tables).items()}


def drawn(tables: Tables) -> dict[str, Figure]:
    papers = [part.report for part in every_part() if part.experiment.by_default]
    sketches = [sketch for report in papers for sketch in report.sketches(tables)]
    return {s.name: figure for s in sketches if (figure := s.draw()) is not None}


def words(element: str) -> str:
    return " ".join(ET.fromstring(element).itertext())


def test_figures_name_their_axes_and_counts(elements: dict[str, str]) -> None:
    for name, element in elements.items():
        assert "n = " in words(element), name
        assert INK not in element and "currentColor" in element
        assert "prefers-color-scheme" in alone(element).decode()


def test_ids_of_one_figure_are_not_those_of_another(elements: dict[str, str]) -> None:
    seen: set[str] = set()
    for element in elements.values():
        tree = ET.fromstring(element)
        ids = [node.attrib["id"] for node in tree.iter() if "id" in node.attrib]
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        seen |= set(ids)


def test_cells_that_were_not_measured_carry_a_dash(tables: Tables) -> None:
    measured = tables["knockout"].filter(
        ~((pl.col("window") == "mid") & (pl.col("group") == "object"))
    )
    figure = knockout_map(measured)
    assert figure is not None
    text = words(svg(figure, "k"))
    # One cell in each of the two tasks.
    assert text.count("\u2013") == 2


def test_every_head_has_its_number_and_of_many_the_strongest(tables: Tables) -> None:
    figure = head_map(tables["sweep"])
    assert figure is not None
    shown = words(svg(figure, "h")).split()
    heads = tables["sweep"].filter(pl.col("head").is_not_null())
    for drop in heads["drop"]:
        assert number(100 * drop) in shown
    many = pl.concat(
        heads.filter(pl.col("task") == "ask").with_columns(pl.col("head") + 3 * step)
        for step in range(18)
    )
    figure = head_map(many)
    assert figure is not None
    numbers = [text for axis in figure.axes for text in axis.texts]
    assert len(numbers) == STRONGEST
    assert number(100 * max(many["drop"].to_list())) in {text.get_text() for text in numbers}


def test_nothing_measured_draws_nothing(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    assert drawn(collect(read(write_run(tmp_path / "empty", objects=0, sheets=0)))) == {}


class Mortal:
    """Ends the process that reads it."""

    def __reduce__(self) -> Any:
        return os._exit, (9,)


def test_figures_are_the_same_whoever_draws_them(
    run: Path, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = parts(read(run))
    monkeypatch.setattr(figures, "LEAST", 1)
    here = write_figures(known, tables, tmp_path / "here")
    there = write_figures(known, tables, tmp_path / "there", workers=2)
    assert here == there
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / place).iterdir()}
        for place in ("here", "there")
    ]
    assert files[0] == files[1] != {}
    fatal = {**tables, "fatal": Mortal()}
    assert write_figures(known, fatal, tmp_path / "anyhow", workers=2) == here
