"""A real browser unpacks a lens page and shows a model's words as text."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retinoscope.report.lens_page import lens_page
from retinoscope.results.sheet import LensSheet

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


def dom(page: Path, profile: Path) -> str:
    """The page's elements after its scripts have run, as a browser writes them."""
    assert CHROMIUM is not None
    quiet = ("background-networking", "component-update", "gpu", "sync")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--no-first-run"),
        *(f"--disable-{what}" for what in quiet),
        *(f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom"),
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, timeout=300, check=True)
    return done.stdout.decode("utf-8")


def test_a_lens_page_draws_itself(tmp_path: Path, make_sheet: Callable[..., LensSheet]) -> None:
    sheet = make_sheet(np.random.default_rng(1), grid=6, layers=4, best=3)
    ablated = make_sheet(np.random.default_rng(2), "a.png", "ablated", grid=6, layers=4, best=3)
    page = tmp_path / "lens.html"
    page.write_text(lens_page(sheet, ablated), "utf-8")
    seen = dom(page, tmp_path / "profile")
    assert 'data-ready="yes"' in seen
    assert re.search(r'id="failure"[^>]* hidden', seen)
    bodies = re.findall(r"<tbody>(.*?)</tbody>", seen, re.S)
    assert len(bodies) == 2
    # The page opens at the middle token of the object, the last layer on top.
    token = sheet.objects[0].tokens[len(sheet.objects[0].tokens) // 2]
    for body, each in zip(bodies, (sheet, ablated), strict=True):
        shown = [html.unescape(word) for word in re.findall(r"<bdi[^>]*>(.*?)</bdi>", body)]
        assert len(shown) == 4 * 3
        plain = [each.vocabulary[i] for layer in (3, 2, 1, 0) for i in each.top[layer, token]]
        escaped = {"\u202eback": "\\u202eback", "\ud800": "\\ud800", "\u2028": "\\u2028"}
        assert shown == [escaped.get(w, w.replace(" ", "\u2423")) for w in plain]
