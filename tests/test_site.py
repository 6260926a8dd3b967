"""The documentation as a site: every link leads somewhere, and nothing is fetched from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import retinoscope as rs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
LINKS = ("canonical", "prev", "next", "alternate", "license")  # are followed by nobody by itself

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it: a link or anchor that leads nowhere ends it."""
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Fetched(HTMLParser):
    """What a page makes a browser fetch, and the ids that it has."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        followed = (given.get("rel") or "") not in LINKS
        if tag in FETCHED and followed:
            self.found.append(given.get(FETCHED[tag]) or "")


def test_no_page_fetches_anything_from_outside(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 45
    for page in pages:
        fetched = Fetched(page)
        assert fetched.found
        for address in fetched.found:
            assert not re.match(r"(\w+:)?//", address), (page, address)
    for sheet in site.rglob("*.css"):
        outside = re.findall(r"(?:@import|url\()\s*[\"']?(?:\w+:)?//[^)\"']+", sheet.read_text())
        assert not outside, sheet


def test_the_reference_holds_every_public_name(site: Path) -> None:
    ids = {name for page in (site / "reference").glob("*.html") for name in Fetched(page).ids}
    public = {name for name in rs.__all__ if name not in ("__version__", "results")}
    assert {f"retinoscope.{name}" for name in public} <= ids
    for method in ("answers", "lens", "capture", "rollout", "chefer"):
        assert f"retinoscope.View.{method}" in ids


def test_every_document_is_in_the_menu(site: Path) -> None:
    menu = (site / "index.html").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        there = str(page.relative_to(ROOT / "docs").with_suffix(".html"))
        assert there.replace("README.html", "index.html") in menu, page


def test_a_link_to_a_notebook_leads_to_its_page(site: Path) -> None:
    home = (site / "index.html").read_text("utf-8")
    assert '<a href="notebooks/first-look.html">First look</a>' in home
    assert (site / "notebooks" / "first-look.html").is_file()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_pages_fit_and_ask_nobody_outside(
    address: str, chromium: Browser, width: int, scheme: Any
) -> None:
    page = chromium.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for name in ("index", "tutorial", "how-to/explain-a-yes", "models", "reference/look"):
        page.goto(f"{address}{name}.html")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert page.evaluate("document.body.dataset.mdColorScheme") == (
        "slate" if scheme == "dark" else "default"
    )
    page.close()
    assert asked and not wrong
    assert all(url.startswith((address, "data:", "blob:")) for url in asked), asked


@pytest.mark.browser
def test_search_finds_a_page(address: str, chromium: Browser) -> None:
    page = chromium.new_page()
    page.goto(f"{address}index.html")
    page.fill("input[name=query]", "knockout")
    page.wait_for_selector(".md-search-result__item a[href*='interventions']", timeout=30_000)
    page.close()
