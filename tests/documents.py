"""Set the READMEs of the experiments into docs/experiments.md: `python -m tests.documents`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ROOT / "src" / "retinoscope" / "experiments"
DOCUMENT = ROOT / "docs" / "experiments.md"

_PART = re.compile(r"(<!-- (\w+)/README\.md -->\n).*?(<!-- end -->)", re.DOTALL)


def made(text: str) -> str:
    """A document with every README between its marks, its headings one level lower."""

    def part(match: re.Match[str]) -> str:
        readme = (EXPERIMENTS / match[2] / "README.md").read_text("utf-8")
        lowered = re.sub(r"^#", "##", readme, flags=re.MULTILINE)
        return f"{match[1]}{lowered.strip()}\n{match[3]}"

    return _PART.sub(part, text)


if __name__ == "__main__":
    DOCUMENT.write_text(made(DOCUMENT.read_text("utf-8")), "utf-8")
