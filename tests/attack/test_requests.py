"""Requests that mean ill: each is answered, in time, with the headers, and costs nobody else."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import coco_scene
import numpy as np
import pytest
import tiny
from starlette.testclient import TestClient

import retinoscope as rs
from retinoscope.app import Limits, Session, create_app
from retinoscope.app.guard import HEADERS
from retinoscope.app.listening import address, bound, server
from retinoscope.app.session import new_session
from retinoscope.data import open_data
from tests.attack.bounded import Hang, bounded
from tests.attack.findings import Findings
from tests.attack.mutations import mutated
from tests.attack.requests import PROMPT, asked
from tests.attack.seeds import Report, forms

MEANT = {200, 400, 403, 404, 405, 408, 413, 422, 503}
"""Every status that the explorer answers with on purpose."""

LIMITS = Limits(pixels=40_000, body_bytes=2**16, views=2, upload_seconds=2, idle_seconds=1)
PATIENCE = 60
"""Seconds after which a connection that nothing is heard of counts as a hang."""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The explorer over a tiny model and a few random pictures."""
    folder = tiny.save(tmp_path_factory.mktemp("tiny"))
    data = f"coco:{coco_scene.write(tmp_path_factory.mktemp('scenes') / 'coco')}"
    vlm = rs.load(folder)
    return new_session(vlm, str(folder), data, open_data(data), LIMITS, max_new_tokens=4)


@pytest.mark.parametrize("share", forms(short=0.06))
def test_every_request_is_answered_as_is_meant(
    session: Session,
    tmp_path: Path,
    share: float,
    seed: int,
    report: Report,
    caplog: pytest.LogCaptureFixture,
) -> None:
    drawn, tries = np.random.default_rng([seed, 1]), round(1000 * share)
    told: Counter[int] = Counter()
    found = Findings(tmp_path)
    with TestClient(create_app(session), base_url="http://localhost:8410") as client:
        for _ in range(tries):
            request = asked(drawn)
            try:
                with bounded(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    reply = client.request(
                        request.method,
                        request.place,
                        headers=[*request.headers],
                        content=request.body,
                    )
                _check(reply.status_code, reply.headers.multi_items())
                if reply.headers.get("content-type") == "application/x-ndjson":
                    event = json.loads(reply.text.splitlines()[-1])
                    assert event["event"] in ("result", "error"), event
                    assert event.get("kind") != "Unexpected", event
                told[reply.status_code] += 1
            except (Exception, Hang) as error:
                found.keep(error, request.raw)
        assert client.get("/").status_code == 200
    report("requests", tries, _counted(told))
    assert not found.kinds, found.told
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR], caplog.text


def _check(status: int, headers: Iterable[tuple[str, str]]) -> None:
    assert status in MEANT, f"status {status}"
    there = {name.lower(): value for name, value in headers}
    lacking = [name for name, value in HEADERS.items() if there.get(name.lower()) != value]
    assert not lacking, f"status {status} without {lacking}"


@pytest.fixture
def place(session: Session) -> Iterator[tuple[str, int]]:
    """A real server on the loopback, whose patience is short."""
    with bound("127.0.0.1", 0) as listening:
        served = server(session, listening)
        thread = threading.Thread(target=served.run, kwargs={"sockets": [listening]})
        thread.start()
        while not served.started:
            time.sleep(0.01)
        split = urlsplit(address(listening))
        yield str(split.hostname), int(split.port or 0)
        served.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server does not end"


@pytest.mark.parametrize("share", forms(short=0.04))
def test_a_real_server_outlives_whatever_comes_over_the_wire(
    place: tuple[str, int],
    tmp_path: Path,
    share: float,
    seed: int,
    report: Report,
    caplog: pytest.LogCaptureFixture,
) -> None:
    drawn, tries = np.random.default_rng([seed, 2]), round(500 * share)
    sent = [_wire(drawn, place) for _ in range(tries)]
    found = Findings(tmp_path)
    told: Counter[int] = Counter()
    with ThreadPoolExecutor(8) as pool:
        for request, reply in zip(sent, pool.map(lambda raw: _said(place, raw), sent), strict=True):
            try:
                if isinstance(reply, Exception):
                    raise reply
                told[_status(reply)] += 1
            except (AssertionError, OSError) as error:
                found.keep(error, request)
    good = _request("POST", "/api/look", json.dumps({"prompt": PROMPT}).encode(), place)
    answer = _said(place, good)
    assert isinstance(answer, bytes) and b'"event":"result"' in answer
    report("requests over the wire", tries, _counted(told))
    assert not found.kinds, found.told
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR], caplog.text


def _wire(drawn: np.random.Generator, place: tuple[str, int]) -> bytes:
    """A request as bytes, half of the time damaged as bytes, sometimes none at all."""
    one = asked(drawn)
    raw = _request(one.method, one.place, one.body, place)
    if drawn.random() < 0.5:
        return one.raw if drawn.random() < 0.5 else raw
    return mutated(raw, drawn) if drawn.random() < 0.8 else drawn.bytes(500)


def _request(method: str, target: str, body: bytes, place: tuple[str, int]) -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: {place[0]}:{place[1]}\r\nConnection: close\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _said(place: tuple[str, int], raw: bytes) -> bytes | Exception:
    """What comes back until the server closes the connection; silence is a hang."""
    try:
        with socket.create_connection(place, timeout=PATIENCE) as there:
            there.sendall(raw)
            heard = b""
            while piece := there.recv(65536):
                heard += piece
            return heard
    except (ConnectionError, BrokenPipeError):
        return b""
    except TimeoutError:
        return AssertionError(f"no end after {PATIENCE} s")


def _status(reply: bytes) -> int:
    """The status of an answer, which must be one that is meant; 0 where there was none."""
    if not reply:
        return 0
    head, _, body = reply.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    status = int(line.split()[1])
    if body == b"Invalid HTTP request received.":
        # The server's own word where there is no request to answer; no page shows it.
        return status
    headers = [(name, value.strip()) for name, _, value in (f.partition(":") for f in fields)]
    _check(status, headers)
    return status


def _counted(told: Counter[int]) -> str:
    return ", ".join(
        f"{count} times {status or 'closed'}" for status, count in sorted(told.items())
    )
