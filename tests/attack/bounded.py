"""A limit of time around one try: whatever takes longer is a hang, and a failure."""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 60
"""Seconds that one try may take on a busy machine; all of them take milliseconds on a quiet one."""


class Hang(BaseException):
    """A try that did not end. No `except Exception` on the way may catch it."""


@contextmanager
def bounded(seconds: float = PATIENCE) -> Iterator[None]:
    """Inside, more time than that raises `Hang`, or ends the process where nothing can be raised.

    Args:
        seconds: the limit.
    """

    def tell(number: int, frame: object) -> None:
        raise Hang(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, tell)
    # C code that never comes back to Python is told of by the tracebacks of all threads.
    faulthandler.dump_traceback_later(3 * seconds, exit=True)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
