"""Quiet where nobody asked, and a reason for every wait."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from retinoscope.cli import progress
from retinoscope.cli.progress import Bars
from retinoscope.report.tables.collect import collect
from retinoscope.report.terminal import print_verdicts
from retinoscope.results import read
from retinoscope.runs import run
from retinoscope.runs.plan import Plan
from retinoscope.runs.progress import Silent


def test_loading_says_nothing() -> None:
    code = "import retinoscope as rs; rs.load('embedded', device='cpu')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_without_a_terminal_each_stage_is_a_line_with_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, clock = io.StringIO(), [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Bars(Console(file=stream, width=80)) as bars:
        bars.stage("curation", 3)
        clock[0] = 61.0
        bars.step(1)
        clock[0] = 70.0
        bars.step(3)
        bars.stage("lens", 2)
        bars.note("a note")
        clock[0] = 72.0
        bars.step(2)
    assert stream.getvalue().splitlines() == [
        "curation: 1 of 3, 61 s so far",
        "curation: 3 of 3, 70 s in all",
        "Note: a note",
        "lens: 2 of 2, 2 s in all",
    ]


def test_scenes_that_are_composed_first_are_a_stage_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first run composes its scenes and those of the mean; the second finds them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = Plan(
        out=tmp_path / "run",
        data="embedded:3",
        limit=1,
        curated=False,
        experiments=("lens",),
        mean_count=2,
        device="cpu",
    )
    told = []
    for number in (1, 2):
        stream = io.StringIO()
        with Bars(Console(file=stream, width=80)) as bars:
            run(replace(plan, out=tmp_path / f"run{number}"), bars)
        told.append([line.partition(",")[0] for line in stream.getvalue().splitlines()][:3])
    assert told[0] == ["model: 1 of 1", "composing scenes: 3 of 3", "composing scenes: 2 of 2"]
    assert told[1][:2] == ["model: 1 of 1", "data: 1 of 1"]


def test_in_a_terminal_there_are_bars() -> None:
    stream = io.StringIO()
    with Bars(Console(file=stream, width=80, force_terminal=True)) as bars:
        bars.stage("curation", 3)
        bars.step(3)
    assert "3/3" in stream.getvalue()
    assert "in all" not in stream.getvalue()


def test_a_run_ends_with_its_verdicts(tmp_path: Path) -> None:
    plan = Plan(
        out=tmp_path / "run",
        data="embedded:4",
        limit=1,
        curated=False,
        experiments=("lens",),
        mean_count=2,
        device="cpu",
    )
    stream = io.StringIO()
    results = read(run(plan, Silent()))
    print_verdicts(results, collect(results), Console(file=stream, width=80))
    assert "Refinement: too few objects to judge" in stream.getvalue()
    assert len(stream.getvalue().splitlines()) < 12
