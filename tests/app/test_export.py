"""The exported lines run as they stand and print what the explorer showed."""

from __future__ import annotations

import ast
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from starlette.testclient import TestClient

import retinoscope as rs
from retinoscope.app import create_app, open_session
from retinoscope.app.export import runs
from tests.app.conftest import QUESTION, probe

PATCHES = (0, 4, 5, 6, 7, 11)
ACTIONS = [
    {"type": "ablate", "value": "zero"},
    {"type": "ablate", "value": "noise", "seed": 5},
    {"type": "knockout", "first": 0, "last": 3},
    {"type": "knockout", "first": 1, "last": 2, "heads": [0, 3]},
    {"type": "patch", "image": "example-1", "layer": 2},
    {"type": "steer", "word": "dog", "layer": 1, "strength": -1.5},
]


def printed(code: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    exec(compile(code, "exported", "exec"), {})
    return capsys.readouterr().out


def line(pattern: str, text: str) -> str:
    """The first group of the first match."""
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, text
    return found[1]


def agree(output: str, told: dict) -> None:
    """The printed answers and probabilities are those that the explorer showed."""
    assert line(r"^before: (.*)$", output) == told["before"]
    assert line(r"^after: (.*)$", output) == told["after"]
    rows = re.findall(r"^('.*'|\".*\"): ([\d.]+) -> ([\d.]+)$", output, re.M)
    shown = {moved["word"]: (moved["before"], moved["after"]) for moved in told["moved"]}
    assert len(rows) == 5
    for name, before, after in rows:
        expected = shown.get(ast.literal_eval(name))
        if expected is not None:
            assert (float(before), float(after)) == pytest.approx(expected, abs=6e-5)
    assert sum(ast.literal_eval(name) in shown for name, _, _ in rows) >= 3
    words = re.findall(r"^word ('.*'|\".*\"): ([\d.]+) -> ([\d.]+)$", output, re.M)
    assert [ast.literal_eval(name) for name, _, _ in words] == [w["word"] for w in told["words"]]
    for said, (_, before, after) in zip(told["words"], words, strict=True):
        expected = (said["before"], said["after"])
        assert (float(before), float(after)) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(
    "action", ACTIONS, ids=["zero", "noise", "knockout", "heads", "patch", "steer"]
)
def test_an_intervention_is_reproduced(browser, capsys, action):
    told = browser.result("intervene", patches=PATCHES, action=action)
    code = browser.result("export", patches=PATCHES, action=action)["code"]
    agree(printed(code, capsys), told)


@pytest.mark.parametrize("patches", [PATCHES, ()], ids=["and one more", "alone"])
def test_kept_steps_are_reproduced(browser, capsys, patches):
    kept = [{"patches": [1, 2, 3], "action": ACTIONS[2]}, {"patches": [9], "action": ACTIONS[1]}]
    asked = {"patches": patches, "action": ACTIONS[0], "kept": kept}
    code = browser.result("export", **asked)["code"]
    agree(printed(code, capsys), browser.result("intervene", **asked))


def test_the_mean_of_given_images_is_computed_and_reproduced(
    browser, folder, scenes, encoded, capsys, tmp_path
):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "one.png").write_bytes(encoded())
    options = {"mean_images": f"folder:{pictures}", "mean_count": 3}
    session = open_session(str(folder), data=f"coco:{scenes}", max_new_tokens=6, options=options)
    assert session.mean_known
    with TestClient(create_app(session), base_url="http://localhost") as client:
        knowing = replace(browser, client=client)
        action = {"type": "ablate", "value": "mean"}
        told = knowing.result("intervene", patches=PATCHES, action=action)
        code = knowing.result("export", patches=PATCHES, action=action)["code"]
    agree(printed(code, capsys), told)


def test_the_mean_is_reproduced(browser, session, capsys, monkeypatch):
    mean = torch.linspace(-1, 1, session.vlm.checkpoint.parts.embedding.weight.shape[1])
    vlm = rs.VLM(replace(session.vlm.checkpoint, mean=mean))
    # Loading gives the mean of the embedded model only; here the tiny one stands in for it.
    monkeypatch.setattr("retinoscope.api.load", lambda name: vlm)
    app = create_app(replace(session, vlm=vlm, model="embedded"))
    with TestClient(app, base_url="http://localhost") as client:
        knowing = replace(browser, client=client)
        action = {"type": "ablate", "value": "mean"}
        told = knowing.result("intervene", patches=PATCHES, action=action)
        code = knowing.result("export", patches=PATCHES, action=action)["code"]
    assert "rs.load('embedded')" in code
    agree(printed(code, capsys), told)


OVERLAYS = {
    "rollout of a word": {"reading": "rollout", "places": [2, 4]},
    "rollout of text": {"reading": "rollout", "queries": [1, 2, 3, 20]},
    "gradient x input": {"reading": "gradient_x_input", "places": [1]},
    "of another token": {"reading": "gradient_x_input", "token": 9},
    "integrated gradients": {"reading": "integrated_gradients", "places": [0]},
    "one head of one word": {"reading": "attention", "places": [3], "layer": 2, "head": 1},
    "attention of patches": {"reading": "attention", "queries": [5, 6, 7, 8], "layer": 1},
}


@pytest.mark.parametrize(
    "asked",
    [
        {"reading": "attention", "queries": [5, 6, 7, 8], "layer": 1},
        {"reading": "attention", "places": [3]},
        {"reading": "rollout", "queries": [20]},
        {"reading": "rollout", "places": [0, 2]},
    ],
)
def test_an_overlay_of_what_is_changed_is_reproduced(browser, capsys, asked):
    step = {"patches": PATCHES, "action": ACTIONS[0]}
    other = {"patches": [1, 2], "action": {"type": "ablate", "value": "noise", "seed": 3}}
    told = browser.result("overlay", **asked, steps=[other, step])["scores"]
    overlay = {"prompt": {"images": ["example-0"], "question": QUESTION}, **asked}
    fields = {**step, "kept": [other], "overlay": {**overlay, "steps": [other, step]}}
    output = printed(browser.result("export", **fields)["code"], capsys)
    scores = ast.literal_eval(line(rf"^{asked['reading']}: (.*)$", output))
    assert scores == pytest.approx(told, abs=1e-5)


@pytest.mark.parametrize("asked", OVERLAYS.values(), ids=OVERLAYS)
def test_an_overlay_is_reproduced(browser, capsys, asked):
    told = browser.result("overlay", **asked)["scores"]
    prompt = {"images": ["example-0"], "question": QUESTION}
    fields = {"overlay": {"prompt": prompt, **asked}}
    output = printed(browser.result("export", **fields)["code"], capsys)
    scores = ast.literal_eval(line(rf"^{asked['reading']}: (.*)$", output))
    assert scores == pytest.approx(told, abs=1e-5)


def test_several_images_are_reproduced(browser, capsys):
    asked = {"patches": [3, 20, 21], "action": ACTIONS[0]}
    images = ["example-1", "example-0"]
    told = browser.result("intervene", images=images, **asked)
    agree(printed(browser.result("export", images=images, **asked)["code"], capsys), told)


def test_a_second_lens_is_reproduced(browser, capsys, session, monkeypatch):
    lens = probe(session)
    monkeypatch.setattr("retinoscope.runs.lens_fit.fitted_lenses", lambda _: {"probe": lens})
    app = create_app(replace(session, lenses={"probe": lens}))
    with TestClient(app, base_url="http://localhost") as client:
        knowing = replace(browser, client=client)
        read = knowing.result("read", patches=[3], lens="probe")
        code = knowing.result("export", patches=[3], lens="probe")["code"]
    assert read["layers"][0] and not read["layers"][-1]
    output = printed(code, capsys)
    for layer, words in enumerate(read["layers"]):
        if words:
            assert words[0]["word"] == ast.literal_eval(line(rf"^{layer} (.*)$", output))[0]


def test_an_uploaded_file_is_named_as_the_user_has_it(
    browser, encoded, capsys, tmp_path, monkeypatch
):
    data = encoded()
    key = browser.upload(data, 'it\'s "mine".png').json()["key"]
    code = browser.result("export", images=[key])["code"]
    name = ast.literal_eval(line(r"^image = ('.*'|\".*\")", code))
    (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    assert browser.result("look", images=[key])["answer"] in printed(code, capsys)


@pytest.mark.parametrize("text", ["'); import os; ('", '"""', "\\", "a\nb", "{0}", "\u202e"])
def test_what_was_typed_stays_a_text(browser, text):
    prompt = {"images": ["example-0"], "question": text, "prefix": text}
    reply = browser.client.post("/api/export", json={"prompt": prompt})
    code = browser.last(reply)["result"]["code"]
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    look = next(c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "look")
    assert ast.literal_eval(look.args[1]) == text
    assert ast.literal_eval(look.keywords[0].value) == text


@given(some.sets(some.integers(0, 60)))
def test_runs_are_the_same_numbers(numbers):
    code = ", ".join(runs(sorted(numbers)))
    assert eval(f"[{code}]") == sorted(numbers)
