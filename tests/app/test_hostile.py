"""What a browser that means ill, or leaves, does to the explorer: nothing."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from starlette.testclient import TestClient

from retinoscope.app import create_app
from retinoscope.app.guard import HEADERS, Guard
from retinoscope.app.listening import address, bound, server
from retinoscope.app.session import Session
from tests.app.loops import run_apart

IDLE = 0.4


def _kept_to_itself(headers: Iterable[tuple[str, str]]) -> bool:
    """Every header of the guard, once."""
    found = [(name.lower(), value) for name, value in headers]
    wanted = {name.lower(): value for name, value in HEADERS.items()}
    return sorted(pair for pair in found if pair[0] in wanted) == sorted(wanted.items())


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//", "http://a b", "\udcff"])
def test_an_origin_that_is_none_is_refused(session: Session, origin: str) -> None:
    with TestClient(create_app(session), base_url="http://localhost") as client:
        reply = client.get("/", headers={b"origin": origin.encode("utf-8", "surrogateescape")})
    assert reply.status_code == 403
    assert _kept_to_itself(reply.headers.multi_items())


def test_an_error_of_our_own_has_the_headers_too(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Session) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("retinoscope.app.server.about", broken)
    app = create_app(session)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        reply = client.get("/api/model")
    assert reply.status_code == 500
    assert _kept_to_itself(reply.headers.multi_items())


def test_more_requests_than_there_is_room_for_are_turned_away_with_the_headers() -> None:
    async def forever(scope: object, receive: object, send: object) -> None:
        await asyncio.sleep(30)

    async def ask() -> list[dict]:
        guard = Guard(forever, requests=1)
        sent: list[dict] = []
        scope = {"type": "http", "headers": [], "method": "GET", "path": "/"}

        async def send(message: dict) -> None:
            sent.append(message)

        async def receive() -> dict:
            return {"type": "http.request"}

        first = asyncio.create_task(guard(scope, receive, send))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await guard(scope, receive, send)  # type: ignore[arg-type]
        first.cancel()
        return sent

    start, _ = run_apart(ask())
    assert start["status"] == 503
    assert _kept_to_itself((k.decode(), v.decode()) for k, v in start["headers"])


def test_a_nul_in_a_question_is_not_taken_for_another_runs(browser, session: Session) -> None:
    for question, prefix in (("a\0b", "c"), ("a", "b\0c")):
        prompt = {"images": ["example-0"], "question": question, "prefix": prefix}
        browser.client.post("/api/look", json={"prompt": prompt})
    assert len(session.views) == 2


def _status(place: tuple[str, int]) -> int:
    with urlopen(f"http://{place[0]}:{place[1]}/") as reply:
        return reply.status


@pytest.fixture
def place(session: Session) -> Iterator[tuple[str, int]]:
    """A real server, whose patience is short."""
    limits = replace(session.limits, idle_seconds=IDLE)
    with bound("127.0.0.1", 0) as listening:
        served = server(replace(session, limits=limits), listening)
        thread = threading.Thread(target=served.run, kwargs={"sockets": [listening]})
        thread.start()
        while not served.started:
            time.sleep(0.01)
        split = urlsplit(address(listening))
        yield str(split.hostname), int(split.port or 0)
        served.should_exit = True
        thread.join()


def test_connections_that_stay_silent_shut_nobody_out(place: tuple[str, int]) -> None:
    silent = [socket.create_connection(place) for _ in range(75)]
    half = socket.create_connection(place)
    half.sendall(b"GET / HTTP/1.1\r\nHost: local")
    assert _status(place) == 200
    for one in [*silent[:3], half]:
        one.settimeout(20 * IDLE)
        # Closed by the server, with or without a word.
        while one.recv(1024):
            pass
    for one in [*silent, half]:
        one.close()


def test_an_upload_that_is_broken_off_is_no_error(
    place: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), socket.create_connection(place) as leaving:
        leaving.sendall(
            b"POST /api/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\nabc"
        )
        time.sleep(0.1)
    time.sleep(0.3)
    assert _status(place) == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
