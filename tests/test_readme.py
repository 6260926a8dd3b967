"""The README's Python runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
BLOCKS = [block for language, block in FENCED if language == "python"]
OUTPUT = [block for language, block in FENCED if not language]


def test_the_ten_lines_print_what_stands_below_them(capsys: pytest.CaptureFixture[str]):
    exec(compile(BLOCKS[0], str(README), "exec"), {})
    assert capsys.readouterr().out == OUTPUT[0]


def test_the_records_are_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from retinoscope.runs import Plan, Silent, run

    monkeypatch.chdir(tmp_path)
    run(
        Plan(
            out=Path("runs/my-run"),
            data="embedded:12",
            mean_count=4,
            limit=1,
            sheets=0,
            experiments=("ablation",),
        ),
        Silent(),
    )
    exec(compile(BLOCKS[1], str(README), "exec"), {})
