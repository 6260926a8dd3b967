"""The Python in README and docs runs as it stands, and prints what stands below it.

The blocks of a page run one after the other, in a folder that holds the run `runs/my-run`; one
inside a comment is not shown. What is marked `py` is other people's code that can't be installed.
A block that imports OPTIONAL is left out where that isn't installed, with those that go on with it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.report.conftest import synthetic_run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OPTIONAL = "transformer_lens"
WARNINGS = ("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def blocks(page: Path) -> Iterator[tuple[int, str, str | None]]:
    """Line, code and what it is to print of every block of Python."""
    text = page.read_text("utf-8")
    fences = [*FENCE.finditer(text)]
    for found, after in zip(fences, [*fences[1:], None], strict=False):
        if found[1] != "python":
            continue
        printed = None
        if after and after[1] in ("", "text") and not text[found.end() : after.start()].strip():
            printed = after[2]
        yield text.count("\n", 0, found.start()) + 1, found[2], printed


def with_python() -> list[Path]:
    return [page for page in PAGES if any(blocks(page))]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic records, written through the real store; nothing is measured."""
    return synthetic_run(tmp_path_factory.mktemp("pages") / "my-run")


@pytest.mark.slow
@pytest.mark.parametrize("page", with_python(), ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.filterwarnings(*WARNINGS)  # of nnsight and TransformerLens
def test_the_python_of_a_page_runs_and_prints_what_stands_below_it(
    page: Path,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    shutil.copytree(run_folder, tmp_path / "runs" / "my-run")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for line, code, printed in blocks(page):
        if needs_what_is_not_there(code, names):
            continue
        # nnsight reads the source of what it traces: each block is a file of its own, its lines
        # numbered as in the page.
        source = tmp_path / f"block_{line}.py"
        source.write_text("\n" * line + code, "utf-8")
        exec(compile(source.read_text("utf-8"), str(source), "exec"), names)
        found = capsys.readouterr().out
        assert printed is None or found == printed, f"{page}:{line} prints\n{found}"


def needs_what_is_not_there(code: str, names: dict[str, object]) -> bool:
    """Whether a block needs OPTIONAL, or goes on with what such a block made."""
    if find_spec(OPTIONAL) is not None:
        return False
    if f"from {OPTIONAL}" in code:
        names["bridge"] = None
        return True
    return "bridge" in names and "bridge." in code


def test_every_page_with_other_peoples_code_says_that_it_is_not_run():
    shown = [page.name for page in PAGES if re.search(r"^```py$", page.read_text("utf-8"), re.M)]
    assert shown == ["paper-code.md"]
