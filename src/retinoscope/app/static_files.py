"""The explorer's own files, read once: a request can only name one of these."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

SHARED = ("base.css", "theme.js")
"""Files that the explorer has in common with the report's pages."""


@dataclass(frozen=True)
class StaticFile:
    """A file's content and media type."""

    body: bytes
    media_type: str


def static_files() -> dict[str, StaticFile]:
    """Every file of the page by its name."""
    own = [item for item in files("retinoscope.app").joinpath("static").iterdir() if item.is_file()]
    shared = files("retinoscope.report").joinpath("templates")
    found = [*own, *(shared.joinpath(name) for name in SHARED)]
    return {
        item.name: StaticFile(item.read_bytes(), TYPES[item.name.rpartition(".")[2]])
        for item in found
        if item.name.rpartition(".")[2] in TYPES
    }
