"""Shells complete the commands: the script is made, and it is answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from retinoscope.cli.main import app; app()"]
SOURCE = str(Path(__file__).parents[2] / "src")


def completed(**variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": SOURCE, **variables}
    program = "import sys; sys.argv[0] = 'retinoscope'; " + COMMAND[2]
    done = subprocess.run(
        [*COMMAND[:2], program], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_made(shell: str) -> None:
    script = completed(_RETINOSCOPE_COMPLETE=f"source_{shell}")
    assert "_RETINOSCOPE_COMPLETE" in script and f"complete_{shell}" in script


def test_the_beginning_of_a_command_is_completed() -> None:
    asked = {"COMP_WORDS": "retinoscope re", "COMP_CWORD": "1"}
    found = completed(_RETINOSCOPE_COMPLETE="complete_bash", **asked)
    assert found.split() == ["reproduce", "report"]
