"""A view's lens as a page."""

from __future__ import annotations

import json
import re
import webbrowser
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

import retinoscope as rs


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> rs.View:
    folder: Path = tiny.save(tmp_path_factory.mktemp("model"))
    pixels = np.random.default_rng(0).integers(0, 255, (70, 60, 3), dtype=np.uint8)
    vlm = rs.load(folder)
    return vlm.look(Image.fromarray(pixels), "Is there a dog in this image ?", max_new_tokens=4)


def headers(page: str) -> list[dict]:
    found = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)
    return json.loads(found[0])


@pytest.fixture(autouse=True)
def no_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_it_shows_the_whole_image_and_outlines_what_was_read(view: rs.View) -> None:
    visual = list(view.tokens.visual)
    shown = view.lens(view.tokens.at(visual[5], visual[6])).show("dog", "no-such-word")
    assert shown.path is not None and shown.path.read_text("utf-8") == shown.page
    (header,) = headers(shown.page)
    assert header["tokens"] == len(visual)
    assert header["layers"] == tiny.LAYERS + 1
    assert header["tracked"] == ["dog"]
    assert header["answer"] == view.answer()
    assert [o["tokens"] for o in header["objects"]] == [[5, 6]]
    assert len(header["objects"][0]["polygons"]) == 1
    saved = view.lens(view.tokens.at(visual[5], visual[6])).save(shown.path, "dog", "no-such-word")
    assert saved.read_text("utf-8") == shown.page
    (whole,) = headers(view.lens().show().page)
    assert whole["objects"] == []


def test_under_interventions_it_compares_with_the_clean_run(view: rs.View) -> None:
    tokens = view.tokens.at(*list(view.tokens.visual)[2:9])
    change = rs.Ablate(tokens, "zero")
    lens = view.lens(tokens, change)
    assert lens.top(2) != view.lens(tokens).top(2)
    clean, changed = headers(lens.show().page)
    assert (clean["answer"], changed["answer"]) == (view.answer(), view.answer(change))
    assert clean["condition"] == "clean" != changed["condition"]
