"""How a worker process begins: it ends when the process that began it does, however that ends.

Nothing here reaches torch: its import takes seconds, in which a worker must be watching already.
"""

from __future__ import annotations

import os
import shutil
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread


def begin_worker(watched: Connection, folder: Path) -> None:
    """Watch a pipe to which nobody writes, and leave signals to the process that began this one.

    Args:
        watched: the end that is read; it closes when the other process is gone.
        folder: of files for the workers, removed if that process could not.
    """
    Thread(target=_end_with_parent, args=(watched, folder), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _end_with_parent(watched: Connection, folder: Path) -> None:
    try:
        watched.recv_bytes()
    except (EOFError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)
