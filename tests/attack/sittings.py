"""Sittings: the command line at work in a process of its own, to be ended at any moment.

Most begin in a process that has torch and transformers imported already, so that what is killed is
the work and not the imports; the server that forks them is the standard library's.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from retinoscope.results import read

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        *("retinoscope.cli.main", "retinoscope.runs", "retinoscope.report.render"),
        *(f"retinoscope.experiments.{name}.measure" for name in ("ablation", "lens", "knockout")),
        *("retinoscope.experiments.lens.sheets", "fontTools.subset"),
        *("matplotlib.backends.backend_pdf", "matplotlib.backends.backend_svg"),
    ]
)

COLD = "from retinoscope.cli.main import app; app()"


@dataclass(frozen=True)
class Place:
    """Where a run is made: its folder, a cache of its own, and what it said last."""

    root: Path

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """What the last sitting wrote to the terminal."""
        return self.root / "log"

    @property
    def said(self) -> str:
        """The log as text."""
        return self.log.read_text("utf-8", "replace")


@dataclass(frozen=True)
class Sitting:
    """One process, and how to wait for it.

    Attributes:
        pid: its id.
        wait: given seconds, its exit status as `subprocess` tells it; None while it goes on.
    """

    pid: int
    wait: object

    def ended(self, seconds: float) -> int | None:
        """The exit status, waited for at most so long; None where it goes on."""
        return self.wait(seconds)  # type: ignore[operator]


def begin(place: Place, arguments: Sequence[str], *, cold: bool = False) -> Sitting:
    """Begin a sitting; one that is not cold has read its options on return.

    Args:
        place: where.
        arguments: of the command line, without --out.
        cold: in a fresh interpreter, which begins by importing everything.
    """
    place.root.mkdir(parents=True, exist_ok=True)
    place.log.unlink(missing_ok=True)
    given = [*arguments, "--out", str(place.run)]
    if cold:
        with place.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", COLD, *given],
                env={**os.environ, **_surroundings(place)},
                stdout=log,
                stderr=log,
            )

        def wait(seconds: float) -> int | None:
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                return None

        return Sitting(process.pid, wait)
    forked = FORKS.Process(target=_sit, args=(place, given))
    forked.start()
    # Its first words come once its options are read and signals are for it to answer.
    while forked.is_alive() and not (place.log.exists() and place.log.stat().st_size):
        time.sleep(0.01)

    def joined(seconds: float) -> int | None:
        forked.join(seconds)
        return forked.exitcode

    return Sitting(forked.pid or 0, joined)


def warm() -> None:
    """Have the server import everything now, so that the first sitting is as fast as the others."""
    first = FORKS.Process(target=int)
    first.start()
    first.join()


def _surroundings(place: Place) -> Mapping[str, str]:
    return {"XDG_CACHE_HOME": str(place.root / "cache"), "TMPDIR": str(place.root)}


def _sit(place: Place, given: Sequence[str]) -> None:
    os.environ |= _surroundings(place)
    log = os.open(place.log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["retinoscope", *given]
    from retinoscope.cli.main import app

    app()


def workers_of(pid: int) -> list[int]:
    """The processes that measure for another one."""
    return [child for child in _children(pid) if b"spawn_main" in _command(child)]


def _children(pid: int) -> Iterator[int]:
    for found in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(found.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            yield int(found.parent.name)


def alive(pid: int) -> bool:
    """Whether a process goes on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def outcome(place: Place) -> dict[str, str]:
    """What a finished run leaves, to the byte: its records, their checksums, its lens sheets."""
    manifest = read(place.run).manifest
    assert manifest.status == "complete"
    files = [*place.run.glob("records/*"), *place.run.glob("lens/*.npz")]
    found = {
        str(path.relative_to(place.run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }
    return {**found, "counts": str(manifest.counts), "skipped": str(manifest.skipped)}
