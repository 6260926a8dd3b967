"""`retinoscope scenes write`: both generations, told apart by one option."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from retinoscope.cli.scenes import scenes
from retinoscope.data import read_coco


def test_scenes_are_written_in_a_layout_or_as_ever(tmp_path: Path) -> None:
    plain, rows = tmp_path / "plain", tmp_path / "rows"
    assert CliRunner().invoke(scenes, ["write", str(plain), "--count", "2"]).exit_code == 0
    done = CliRunner().invoke(scenes, ["write", str(rows), "--count", "2", "--layout", "rows"])
    assert done.exit_code == 0
    steps = [
        {
            bool(question.steps)
            for sample in read_coco(folder).samples
            for question in sample.questions
        }
        for folder in (plain, rows)
    ]
    assert steps == [{False}, {True}]
