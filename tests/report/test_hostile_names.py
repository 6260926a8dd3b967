"""Names that mean ill, in every page that is written: they are text, and nothing but text."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Browser

from retinoscope.report.compare import compare
from retinoscope.report.render import render, write_lens_pages
from retinoscope.results import read
from retinoscope.results.checksums import Checksums, digest, write_checksums
from retinoscope.results.manifest import ModelIdentity, write_manifest
from retinoscope.results.sheet import LensSheet, load_sheet, save_sheet
from tests.attack.mutations import NAMES

pytestmark = pytest.mark.browser

MEANT = tuple(name for name in NAMES if name.strip() and "\ud800" not in name)
"""Names that a class may have."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., Path]) -> list[Path]:
    """Two runs in which everything that has a name has one that means ill."""
    root = tmp_path_factory.mktemp("runs")
    first = _renamed(write_run(root / "first", objects=12))
    return [first, shutil.copytree(first, root / "second")]


def _renamed(run: Path) -> Path:
    before = read(run)
    names = {name: MEANT[i % len(MEANT)] for i, name in enumerate(_texts(before.tables))}
    sums = {}
    for table, rows in before.tables.items():
        texts = [
            name for name in ("class_name", "prompt", "answer", "reason") if name in rows.columns
        ]
        changed = rows.with_columns(pl.col(name).replace(names) for name in texts)
        path = run / "records" / f"{table}.parquet"
        changed.write_parquet(path)
        with path.open("rb") as stream:
            sums[path.name] = digest(stream)
    shutil.rmtree(run / "records" / ".parts")
    write_checksums(run / "records", Checksums(before.manifest.key, sums))
    odd = iter(MEANT * 3)
    manifest = replace(
        before.manifest,
        **{name: next(odd) for name in ("command", "name")},
        model=ModelIdentity(next(odd), next(odd), {next(odd): "0f" * 32}),
        data={name: name for name in MEANT},
        skipped={name: 1 for name in MEANT},
        versions={**before.manifest.versions, next(odd): next(odd)},
    )
    write_manifest(run, manifest)
    for path in (run / "lens").glob("*.npz"):
        save_sheet(path, _ill(load_sheet(path, manifest.key)), manifest.key)
    return run


def _texts(tables: Any) -> list[str]:
    """The names of classes, the questions and the answers of a run, each once."""
    found: dict[str, None] = {}
    for rows in tables.values():
        for name in ("class_name", "prompt", "answer", "reason"):
            if name in rows.columns:
                found |= dict.fromkeys(rows[name].unique(maintain_order=True).drop_nulls())
    return [*found]


def _ill(sheet: LensSheet) -> LensSheet:
    texts = [f.name for f in fields(sheet) if isinstance(getattr(sheet, f.name), str)]
    named = {name: MEANT[i] for i, name in enumerate(texts)}
    words = tuple((*NAMES, *sheet.vocabulary)[: len(sheet.vocabulary)])
    things = tuple(replace(thing, class_name=MEANT[4]) for thing in sheet.objects)
    return replace(sheet, **named, vocabulary=words, tracked=(MEANT[4], MEANT[9]), objects=things)


def test_no_name_runs_or_breaks_out_of_any_page(
    runs: list[Path], chromium: Browser, tmp_path: Path
) -> None:
    first, second = runs
    render(first)
    stems = [name.replace("/", "_").replace("\0", "_")[:40] for name in MEANT]
    sheet = load_sheet(next((first / "lens").glob("*.npz")), read(first).manifest.key)
    index = write_lens_pages(dict.fromkeys(stems, sheet), tmp_path / "lens", title=MEANT[3])
    compared = compare([first, second], tmp_path / "compared")
    pages = [compared, index, *first.rglob("*.html")]
    wrong = {page.name: _complaints(chromium, page) for page in pages}
    assert not {page: found for page, found in wrong.items() if found}
    _links_lead_somewhere(chromium, index, len({*stems}))


def _complaints(chromium: Browser, path: Path) -> list[str]:
    """What runs, complains, reaches for anything or is cut off, once the page has drawn itself."""
    context = chromium.new_context()
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    page.on("request", lambda one: wrong.append(one.url) if _outside(one.url, path) else None)
    page.goto(path.as_uri())
    page.wait_for_timeout(200)
    told = {
        "a name has run": "window.owned !== undefined",
        "a name is an element": "document.querySelector('img[src=x], [onerror]') !== null",
        "the page is wider than the window": "document.documentElement.scrollWidth > innerWidth",
    }
    wrong += [what for what, asked in told.items() if page.evaluate(asked)]
    shown = page.locator("body").inner_text()
    wrong += [f"{mark!r} is not made visible" for mark in "\u202e\u2028\0\ud800" if mark in shown]
    context.close()
    return wrong


def _outside(url: str, page: Path) -> bool:
    return url != page.as_uri() and not url.startswith("data:")


def _links_lead_somewhere(chromium: Browser, index: Path, count: int) -> None:
    page = chromium.new_page()
    page.goto(index.as_uri())
    places = page.evaluate("[...document.querySelectorAll('.entry a')].map((link) => link.href)")
    assert len({*places}) == count
    for place in places:
        page.goto(place)
        assert page.locator("canvas").count() > 0, place
    page.close()
