"""One driver for a run folder: a lock that ends with the process that holds it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from retinoscope.errors import RunError
from retinoscope.results.atomic import replacing


@contextmanager
def driving(run: Path) -> Iterator[None]:
    """Inside, this process alone measures into a run folder, which is made where it is missing.

    The operating system holds the lock and lets it go when the process ends, however it ends, so
    that a run that was killed never stands in the way. Reading a folder needs no lock.

    Raises:
        RunError: another process measures into the folder, or it can't be made or written.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"The run folder {run} can't be made ({error}); choose another with --out."
        ) from error
    lock = FileLock(run / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            f"Another process measures into {run} right now ({_holder(run)}). Wait for it, end it, "
            "or give another folder with --out."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise RunError(
            f"{run} can't be locked ({error}); choose another folder with --out."
        ) from error
    try:
        with replacing(run / ".driver") as stream:
            stream.write(f"process {os.getpid()}, since {_now()}".encode())
        yield
    finally:
        lock.release()


def _holder(run: Path) -> str:
    """Who holds the lock, as it said itself."""
    try:
        return (run / ".driver").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return "which has only just begun"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
