"""Showing a page where one works: in a notebook's cell, or in a browser."""

from __future__ import annotations

import html
import sys
import tempfile
import webbrowser
from dataclasses import dataclass
from pathlib import Path

HEIGHT = 900
"""Of a page in a notebook, in CSS pixels."""


@dataclass(frozen=True)
class Shown:
    """A page that was shown.

    The last value of a notebook's cell is displayed: this one as the page itself, in a frame that
    can neither reach the notebook nor ask the network.

    Attributes:
        page: the page, one file of HTML.
        path: where it was written to be opened by a browser; None in a notebook.
        height: of the frame in a notebook, in CSS pixels.
    """

    page: str
    path: Path | None = None
    height: int = HEIGHT

    def _repr_html_(self) -> str:
        """The page in a frame, for notebooks."""
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" sandbox="allow-scripts" width="100%" '
            f'height="{self.height}" style="border: 0" title="Retinoscope lens"></iframe>'
        )

    def __repr__(self) -> str:
        return f"Shown({self.path})" if self.path else f"Shown({len(self.page)} characters of HTML)"

    def save(self, path: str | Path) -> Path:
        """Write the page to a file that opens from disk."""
        target = Path(path)
        target.write_text(self.page, "utf-8")
        return target


def show(page: str, *, height: int = HEIGHT) -> Shown:
    """Show a page: in a notebook at once, elsewhere in a browser, from a temporary file.

    Where no browser can be opened the file is there all the same: `.path` says where.

    Args:
        page: one file of HTML.
        height: of the frame in a notebook, in CSS pixels.
    """
    if in_notebook():
        return Shown(page, None, height)
    with tempfile.NamedTemporaryFile(
        "w", suffix=".html", prefix="retinoscope-", encoding="utf-8", delete=False
    ) as file:
        file.write(page)
    path = Path(file.name)
    webbrowser.open(path.as_uri())
    return Shown(page, path, height)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this (a notebook, Colab, an editor's cells)."""
    # A kernel has imported IPython; where nobody has, there is none to ask.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
