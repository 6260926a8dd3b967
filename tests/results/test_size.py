"""Runs of many records fit into stated memory: bounds of size, never of time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.results import large

ROOT = Path(__file__).parents[2]


def peak(what: str, folder: Path) -> tuple[list[str], int]:
    """What a step prints, and the peak of its process's memory in bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.results.large", what, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )
    *lines, memory = done.stdout.splitlines()
    print(what, int(memory) / 1e9)
    return lines, int(memory)


@pytest.mark.size
def test_a_run_of_a_hundred_thousand_parts_resumes_from_few_files(tmp_path: Path) -> None:
    large.write(tmp_path, objects=50_000, rows=3)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) < 1000
    lines, memory = peak("resume", tmp_path)
    assert lines == ["50000 150000"]
    assert memory < 0.5e9


@pytest.mark.size
def test_ten_million_records_are_gathered_and_reported_within_2_gb(tmp_path: Path) -> None:
    large.write(tmp_path, objects=50_000, rows=200)
    assert peak("consolidate", tmp_path)[1] < 2e9
    assert peak("report", tmp_path)[1] < 2e9
