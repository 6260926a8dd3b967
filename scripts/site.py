"""What the site shows beside docs/: documents that stand elsewhere, each kept in one place.

mkdocs calls the functions named `on_...` (see `hooks` in mkdocs.yml). Documents of the repository
become pages; notebooks become pages without their outputs, with the notebook to download; the
glossary is a section of CONTRIBUTING.md, and the commands' options are what `--help` says. Links
that lead out of docs/ are turned to those pages.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]

ELSEWHERE = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "recipes/embedded/README.md": "recipes/embedded.md",
    "recipes/smollm2/README.md": "recipes/smollm2.md",
    "src/retinoscope/models/embedded/README.md": "cards/embedded.md",
    "variants/src/retinoscope_variants/pointed/README.md": "cards/pointed.md",
    "variants/src/retinoscope_variants/smollm2/README.md": "cards/smollm2.md",
    "src/retinoscope/app/static/icon.svg": "assets/icon.svg",
}
"""File of the repository -> file of the site."""

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere."""
    for source, target in ELSEWHERE.items():
        path = str(ROOT / source)
        files.append(File.generated(config, target, abs_src_path=path))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.name}", abs_src_path=str(path)))
        page = f"notebooks/{path.stem}.md"
        files.append(File.generated(config, page, content=notebook_page(path)))
    glossary = section((ROOT / "CONTRIBUTING.md").read_text("utf-8"), "Words")
    files.append(File.generated(config, "glossary.md", content=f"# Glossary\n\n{glossary}"))
    files.append(File.generated(config, "reference/commands.md", content=commands_page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to documents of the repository into links to their pages."""
    target = page.file.src_uri
    source = {site: repo for repo, site in ELSEWHERE.items()}.get(target, f"docs/{target}")

    def turned(match: re.Match[str]) -> str:
        picture, text, link = match.groups()
        address, mark, anchor = link.partition("#")
        if ":" in link or not address:
            return match[0]
        place = os.path.normpath(PurePosixPath(source).parent / address)
        there = ELSEWHERE.get(place, place.removeprefix("docs/") if "docs/" in place else None)
        if place.startswith("notebooks/"):
            there = str(PurePosixPath(place).with_suffix(".md"))
        if there is not None:
            relative = os.path.relpath(there, PurePosixPath(target).parent)
            return f"{picture}[{text}]({relative}{mark}{anchor})"
        # What is in the repository alone can't be linked to; what is nowhere, mkdocs reports.
        return text if (ROOT / place).exists() and not picture else match[0]

    return outside_code(_COMMENT.sub("", markdown), lambda text: _LINK.sub(turned, text))


def outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """Change what is not in fenced code."""
    parts, at = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [change(markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, change(markdown[at:])])


def section(markdown: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    _, _, rest = markdown.partition(f"\n## {heading}\n")
    return rest.partition("\n## ")[0].strip()


def notebook_page(path: Path) -> str:
    """A notebook's text and code as a page."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    title, *rest = ("".join(cell["source"]) for cell in cells)
    kinds = [cell["cell_type"] for cell in cells][1:]
    shown = [
        f"```python\n{text}\n```" if kind == "code" else text
        for kind, text in zip(kinds, rest, strict=True)
    ]
    return "\n\n".join([title, f"[Download the notebook]({path.name})", *shown])


def commands_page() -> str:
    """Every command with its options, as `--help` tells them."""
    asked = [sys.executable, "-m", "typer", "--app", "commands", "retinoscope.cli.main"]
    asked += ["utils", "docs", "--name", "retinoscope", "--title", "Commands"]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    # Its lists of commands cut each short; their sections say all.
    return re.sub(r"\*\*Commands\*\*:\n\n(?:\* .*\n)+", "", done.stdout)
