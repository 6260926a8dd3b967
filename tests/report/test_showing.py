"""A page is shown where one works."""

from __future__ import annotations

import sys
import webbrowser
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from retinoscope.report.showing import show

PAGE = "<!doctype html><title>\u00e9 \"quoted\" 'too' & <b>bold</b></title>"


def kernel(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    """Pretend that IPython runs this, with some shell."""
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: addresses.append(url) or False)
    return addresses


def test_in_a_notebook_it_is_the_page_in_a_frame(
    monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    kernel(monkeypatch, SimpleNamespace(kernel=object()))
    shown = show(PAGE, height=321)
    found: list[dict[str, str | None]] = []

    class Frames(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag == "iframe"
            found.append(dict(attrs))

    Frames().feed(shown._repr_html_())
    (frame,) = found
    assert frame["srcdoc"] == PAGE
    # Scripts run, but as nobody's: the notebook is out of their reach.
    assert frame["sandbox"] == "allow-scripts"
    assert frame["height"] == "321"
    assert shown.path is None
    assert opened == []


@pytest.mark.parametrize("shell", [None, SimpleNamespace()])
def test_elsewhere_a_file_is_written_and_a_browser_asked(
    monkeypatch: pytest.MonkeyPatch, opened: list[str], shell: object, tmp_path
) -> None:
    kernel(monkeypatch, shell)
    shown = show(PAGE)
    assert shown.path is not None
    try:
        assert shown.path.read_text("utf-8") == PAGE
        assert opened == [shown.path.as_uri()]
        assert str(shown.path) in repr(shown)
        assert shown.save(tmp_path / "kept.html").read_text("utf-8") == PAGE
    finally:
        shown.path.unlink()
