"""Streaming: one job at the model, told line by line as JSON while it goes on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from typing import Any

import msgspec

from retinoscope.app.turns import Turns
from retinoscope.app.writing import Say
from retinoscope.errors import RetinoscopeError

HEARTBEAT = 0.5
"""Seconds between two signs of life. Writing them is also how a browser's leaving is noticed."""

UNEXPECTED = "Something unexpected went wrong; the server's terminal says what. It goes on."

Event = dict[str, Any]

log = logging.getLogger("retinoscope.app")


def stream(turns: Turns, job: Callable[[Say], Any]) -> AsyncGenerator[bytes, None]:
    """Queue a job and give what happens as lines of JSON.

    Each line has an "event": "queued" with "ahead" (the number of jobs before it), "progress"
    with "doing" and "seconds", and at the end either "result" with "result" or "error" with
    "kind" and "message". A job that nobody listens to any more is dropped unless it has begun.

    Args:
        turns: the queue.
        job: given a function to tell its progress with; returns plain data.

    Raises:
        Busy: the queue is full.
    """
    events: asyncio.Queue[Event] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(event: Event) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(events.put_nowait, event)

    future, ahead = turns.admit(lambda: tell(outcome(job, tell)))
    return _lines(future, ahead, events)


def outcome(job: Callable[[Say], Any], tell: Callable[[Event], None]) -> Event:
    """Do the job; whatever goes wrong in it becomes an event, never the server's end."""
    try:
        return {"event": "result", "result": job(lambda doing: tell({"doing": doing}))}
    except RetinoscopeError as error:
        return failure(error)
    except Exception:
        log.exception("A request failed")
        return {"event": "error", "kind": "Unexpected", "message": UNEXPECTED}


def failure(error: RetinoscopeError) -> Event:
    """What a browser is told of an error raised on purpose."""
    return {"event": "error", "kind": type(error).__name__, "message": str(error)}


async def _lines(
    future: Future[object], ahead: int, events: asyncio.Queue[Event]
) -> AsyncGenerator[bytes, None]:
    begun, doing = time.monotonic(), "Waiting for the model"
    try:
        yield _line({"event": "queued", "ahead": ahead})
        while True:
            try:
                event = await asyncio.wait_for(events.get(), HEARTBEAT)
            except TimeoutError:
                event = {}
            if event.get("event"):
                yield _line(event)
                return
            doing = event.get("doing", doing)
            seconds = round(time.monotonic() - begun, 1)
            yield _line({"event": "progress", "doing": doing, "seconds": seconds})
    finally:
        future.cancel()


def _line(event: Event) -> bytes:
    return msgspec.json.encode(event) + b"\n"
