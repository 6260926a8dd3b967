"""Ctrl-C: what is kept is told where something is, with how to go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import retinoscope.models
import retinoscope.runs
from retinoscope.cli.main import commands


def interrupt(*given: object, **named: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_run_says_how_to_resume_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without --out the folder has a name of its own, which the same command would not choose."""
    monkeypatch.setattr(retinoscope.runs, "run", interrupt)
    monkeypatch.chdir(tmp_path)
    for arguments, folder in ((["--out", "my run"], "'my run'"), ([], "runs/embedded-")):
        done = CliRunner().invoke(commands, ["reproduce", *arguments])
        assert done.exit_code == 130
        assert f"Interrupted. What was measured is kept; resume with --out {folder}" in done.stderr


def test_a_command_that_keeps_nothing_claims_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    monkeypatch.setattr(retinoscope.models, "load", interrupt)
    done = CliRunner().invoke(commands, ["look", str(tmp_path / "a.png"), "--name", "dog"])
    assert (done.exit_code, done.stderr) == (130, "Interrupted.\n")
