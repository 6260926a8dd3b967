"""Worker processes: a pool of them that ends with this process, however that ends.

The pool is the standard library's. Two things are added. What the workers need is read by them from
a file: multiprocessing writes it into a pipe to a process that is starting, and waits there for
ever if that process dies before it has read all. And every worker watches a pipe from its first
moments on. Nothing here reaches torch: its import takes seconds, in which a worker must be watching
already.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

PROCESSES = min(4, os.cpu_count() or 1)
"""Processes that share this machine where nobody says: one for each core, 4 at most, since each
takes about 1 GB."""


@contextmanager
def worker_pool(count: int) -> Iterator[tuple[ProcessPoolExecutor, Path]]:
    """Inside, a pool of processes, and a folder for what they are given and share.

    Args:
        count: number of processes; they start as there is work for them.
    """
    context = get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    with TemporaryDirectory(prefix="retinoscope-") as folder:
        pool = ProcessPoolExecutor(count, context, begin_worker, (watched, Path(folder)))
        try:
            yield pool, Path(folder)
        except BaseException:
            # What is begun is of no use any more; nobody waits for it.
            held.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            held.close()
            watched.close()


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
