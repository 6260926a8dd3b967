"""The server stands: queue, errors, foreign pages, headers."""

from __future__ import annotations

import json
import threading
import time

import pytest
from starlette.testclient import TestClient

from retinoscope.app import create_app
from retinoscope.app.shelf import Shelf
from retinoscope.app.streaming import stream
from retinoscope.app.turns import Busy, Turns
from retinoscope.errors import SelectionError
from tests.app.loops import run_apart


def collect(turns: Turns, job) -> list[dict]:
    async def run():
        return [json.loads(line) async for line in stream(turns, job)]

    return run_apart(run())


def test_progress_is_told_line_by_line():
    def job(say):
        say("first")
        time.sleep(0.7)
        say("second")
        return {"answer": 42}

    events = collect(Turns(2), job)
    assert events[0] == {"event": "queued", "ahead": 0}
    assert events[-1] == {"event": "result", "result": {"answer": 42}}
    told = [event["doing"] for event in events[1:-1]]
    assert told.count("first") >= 2, "a long step gives signs of life"
    assert told[-1] == "second"


def test_an_error_ends_a_question_and_nothing_else(caplog):
    def wrong(_):
        raise SelectionError("Select something.")

    def broken(_):
        raise RuntimeError("a secret of the server's")

    turns = Turns(2)
    assert collect(turns, wrong)[-1] == {
        "event": "error",
        "kind": "SelectionError",
        "message": "Select something.",
    }
    event = collect(turns, broken)[-1]
    assert event["kind"] == "Unexpected"
    assert "secret" not in event["message"]
    assert "secret" in caplog.text
    assert collect(turns, lambda _: 1)[-1]["result"] == 1


def test_the_queue_ends_and_opens_again():
    turns, gate = Turns(2), threading.Event()
    jobs = [turns.admit(lambda: gate.wait(10)) for _ in range(2)]
    assert [ahead for _, ahead in jobs] == [0, 1]
    with pytest.raises(Busy, match="2 questions"):
        turns.admit(lambda: None)
    gate.set()
    for future, _ in jobs:
        future.result(10)
    turns.admit(lambda: None)[0].result(10)


def test_a_question_that_nobody_waits_for_is_dropped():
    turns, gate, done = Turns(3), threading.Event(), []

    async def leave():
        lines = stream(turns, lambda _: done.append("dropped"))
        await anext(lines)
        await lines.aclose()

    first, _ = turns.admit(lambda: gate.wait(10))
    run_apart(leave())
    gate.set()
    first.result(10)
    turns.admit(lambda: done.append("next"))[0].result(10)
    assert done == ["next"]


def test_a_full_queue_is_answered_with_503(session, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr("retinoscope.app.server.Turns", lambda room: full)
    full = Turns(1)
    full.admit(lambda: gate.wait(20))
    with TestClient(create_app(session), base_url="http://localhost") as client:
        prompt = {"images": ["example-0"], "question": "Describe this image ."}
        reply = client.post("/api/look", json={"prompt": prompt})
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "2"
        assert "waiting" in reply.json()["message"]
        assert client.get("/api/model").status_code == 200
        gate.set()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 4000,
        b'{"prompt": {"images": ["\xff"], "question": "x"}}',
        b'{"prompt": {"images": 1, "question": "x"}}',
        b'{"prompt": {"images": ["example-0"], "question": ""}}',
        b'{"prompt": {"images": ["example-0"], "question": "x"}, "more": 1}',
        json.dumps({"prompt": {"images": ["example-0"], "question": "x" * 501}}).encode(),
        b'{"prompt": {"images": ["example-0"], "question": "x"}, "patches": [-1]}',
    ],
)
@pytest.mark.parametrize("verb", ["look", "intervene"])
def test_a_request_that_makes_no_sense_is_refused(browser, verb, body):
    reply = browser.client.post(f"/api/{verb}", content=body)
    assert reply.status_code == 400
    assert reply.json()["kind"] == "Misunderstood"
    assert browser.client.get("/api/model").status_code == 200


def test_a_request_that_is_too_long_is_refused(browser):
    assert browser.client.post("/api/look", content=b" " * 5000).status_code == 413


def test_an_unknown_place_or_question_is_refused(browser):
    assert browser.client.get("/static/nothing.js").status_code == 404
    assert browser.client.post("/api/eval", json={}).status_code == 404
    assert browser.client.get("/api/look").status_code in (404, 405)


@pytest.mark.parametrize("question", ["<image> <image>", "\0", "</s>", "\U0001f600" * 100])
def test_an_odd_question_ends_in_an_answer_or_an_error(browser, question):
    prompt = {"images": ["example-0"], "question": question}
    reply = browser.client.post("/api/look", json={"prompt": prompt})
    event = browser.last(reply)
    assert event["event"] in ("result", "error")
    assert event.get("kind") != "Unexpected", event
    assert browser.ask("look")["event"] == "result"


def test_another_sites_page_is_kept_out(browser):
    ours = {"Origin": "http://localhost:8410"}
    theirs = {"Origin": "https://elsewhere.example"}
    assert browser.client.get("/api/model", headers=ours).status_code == 200
    assert browser.client.get("/api/model", headers=theirs).status_code == 403
    assert browser.client.post("/api/images", content=b"x", headers=theirs).status_code == 403
    assert browser.client.get("/", headers={"Origin": "null"}).status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8410", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:8410", 200),
        ("elsewhere.example", 400),
        ("localhost.elsewhere.example", 400),
    ],
)
def test_only_loopback_names_are_answered(browser, host, status):
    assert browser.client.get("/", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("place", ["/", "/static/main.js", "/api/model", "/nothing"])
def test_every_answer_is_kept_to_itself(browser, place):
    headers = browser.client.get(place).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_a_shelf_gives_up_what_was_used_longest_ago():
    shelf: Shelf[int] = Shelf(2)
    shelf.put("a", 1)
    shelf.put("b", 2)
    assert shelf.get("a") == 1
    shelf.put("c", 3)
    assert [shelf.get(name) for name in "abc"] == [1, None, 3]
    assert len(shelf) == 2


def test_recorded_runs_are_bounded(browser, session):
    for index in range(3):
        browser.result("look", images=[f"example-{index}"])
    assert len(session.views) == 2
