"""Turns: one worker in front of the model, and a queue with an end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from retinoscope.errors import RetinoscopeError


class Busy(RetinoscopeError):
    """Too many questions wait for the model already."""


class Turns:
    """Runs jobs one after another in one thread; refuses more than `room` at a time."""

    def __init__(self, room: int) -> None:
        """A worker with at most `room` jobs at work and waiting, in all."""
        self._room = room
        self._taken = 0
        self._lock = Lock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    def admit(self, job: Callable[[], object]) -> tuple[Future[object], int]:
        """Queue a job.

        Returns:
            The job, to be cancelled when nobody waits for it any more (one that has begun goes
            on to its end), and the number of jobs before it.

        Raises:
            Busy: the queue is full.
        """
        with self._lock:
            if self._taken >= self._room:
                raise Busy(
                    f"{self._taken} questions are waiting for the model already, and no more are "
                    "taken. Wait a moment and ask again."
                )
            ahead = self._taken
            self._taken += 1
        future = self._worker.submit(job)
        future.add_done_callback(self._leave)
        return future, ahead

    def close(self) -> None:
        """Drop what waits and take no more."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _: Future[object]) -> None:
        with self._lock:
            self._taken -= 1
