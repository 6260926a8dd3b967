"""The README's Python runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_ten_lines_run(capsys: pytest.CaptureFixture[str]):
    exec(compile(BLOCKS[0], str(README), "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert printed[0].split()[2:] == ["Yes"]


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
