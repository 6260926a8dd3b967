"""How much memory a process takes while it does something; Linux alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType

STATUS = Path("/proc/self/status")


def taken() -> float:
    """Bytes that the process holds and that can't be given back: no mapped files among them."""
    return _read("RssAnon") + _read("RssShmem")


def resident() -> float:
    """Bytes of the process in memory, the parts of mapped files that happen to be there too."""
    return _read("VmRSS")


def highest() -> int:
    """The most bytes of this process that were in memory; a parent's are not counted in.

    What `getrusage` calls the maximum begins with that of the process that started this one.
    """
    return int(_read("VmHWM"))


class Peak:
    """A context manager that watches: the peaks over what was there when it began, in bytes."""

    def __init__(self) -> None:
        self.taken = self.resident = self.seconds = 0.0
        self._stop = threading.Event()

    def __enter__(self) -> Peak:
        self._before = (taken(), resident())
        self._begun = time.monotonic()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._watch.join()
        self._note()
        self.seconds = time.monotonic() - self._begun

    def _look(self) -> None:
        while not self._stop.wait(0.01):
            self._note()

    def _note(self) -> None:
        self.taken = max(self.taken, taken() - self._before[0])
        self.resident = max(self.resident, resident() - self._before[1])


def _read(field: str) -> float:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return float(line.split()[1]) * 1024
    return 0.0
