"""Pages opened from disk in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import retinoscope as rs
from retinoscope.data import load_image, object_mask, open_data
from retinoscope.experiments.lens.sheets import read_sheet
from retinoscope.experiments.montage import montage
from retinoscope.experiments.outline import outlines
from retinoscope.models import load
from retinoscope.report.lens_page import lens_page
from retinoscope.report.render import render
from retinoscope.results.sheet import ObjectOutline

PATIENCE = 30_000
"""Milliseconds that a page may take on a busy machine."""

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of the embedded model: an image clean, and without its object."""
    scenes = open_data("embedded:4", seed=7)
    sample = scenes.samples[0]
    thing = sample.annotations[0]
    mask = object_mask(sample, thing)
    vlm = rs.VLM(load("embedded"))
    view = vlm.look(
        load_image(sample), f"Is there a {thing.class_name} in this image?", max_new_tokens=6
    )
    tokens = view.tokens.under(mask)
    first = view.recording.encoded.layout.visual[0]
    outline = ObjectOutline(thing.class_name, outlines(mask), tuple(p - first for p in tokens))
    shown = montage(view.recording.layout, view.prompt)
    asked = (view.recording, "scene.png", shown, [thing.class_name], [outline])
    change = (rs.Ablate(tokens.dilate(1), "zero"),)
    page = tmp_path_factory.mktemp("lens") / "scene.html"
    page.write_text(lens_page(read_sheet(*asked), read_sheet(*asked, change, "ablated")), "utf-8")
    return page


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    return render(run)


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Open]:
    """Opens a page from disk; what it complains of, or asks of a network, fails the test."""
    contexts, wrong, sent = [], [], []

    def go(path: Path, width: int = 1280, scheme: str = "light", fragment: str = "") -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: sent.append(request.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield go
    for context in contexts:
        context.close()
    assert wrong == []
    assert {url.partition(":")[0] for url in sent} <= {"file", "data", "blob"}


def ready(page: Page) -> Page:
    expect(page.locator("html")).to_have_attribute("data-ready", "yes")
    return page


def wide_tables(page: Page) -> list[str]:
    """The tables that have to be scrolled sideways, folded ones opened."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    return page.evaluate(
        """() => [...document.querySelectorAll(".scroll:has(table)")]
            .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.ariaLabel)"""
    )
