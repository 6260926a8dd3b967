"""A run folder has one driver, and a dead one does not stand in the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from retinoscope.errors import RunError
from retinoscope.results.lock import driving

HOLD = """
import sys
from pathlib import Path
from retinoscope.results.lock import driving
with driving(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_named_and_a_dead_one_forgotten(tmp_path: Path) -> None:
    run = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=f"process {holder.pid}, since .*--out"), driving(run):
            pass
        # As the machine does when memory runs out: nothing is tidied up.
        holder.kill()
        holder.wait()
    with driving(run):
        assert (run / ".lock").exists()
    with driving(run):
        pass


def test_one_process_drives_a_folder_once(tmp_path: Path) -> None:
    with driving(tmp_path), pytest.raises(RunError, match="Another process"), driving(tmp_path):
        pass
    with driving(tmp_path / "other"):
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="can't be made"), driving(tmp_path / "file" / "run"):
        pass
