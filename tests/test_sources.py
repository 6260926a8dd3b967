"""What the documents say of the sources and of each other is so."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import retinoscope
from retinoscope.report.paper import BIBTEX
from retinoscope.results.experiment import experiments
from tests import documents

ROOT = Path(__file__).parents[1]
SOURCES = sorted(Path(retinoscope.__path__[0]).rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef
INLINED = (ast.ListComp, ast.SetComp, ast.DictComp)


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def own_lines(function: Function) -> set[int]:
    """Lines of a function without signature, docstring and the functions within it."""
    first, *others = function.body
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    lines: set[int] = set()
    for statement in others if documented else function.body:
        lines |= {*range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)}
    for inner in functions(ast.Module(function.body, [])):
        lines -= {*range(inner.lineno, (inner.end_lineno or inner.lineno) + 1)}
    return lines


def test_files_and_functions_are_as_short_as_contributing_says() -> None:
    assert (
        "under 300 lines; functions of 50 lines at most" in (ROOT / "CONTRIBUTING.md").read_text()
    )
    assert len(SOURCES) > 100
    for path in SOURCES:
        text = path.read_text("utf-8")
        assert len(text.splitlines()) < 300, path
        for function in functions(ast.parse(text)):
            assert len(own_lines(function)) <= 50, f"{path}: {function.name}"


def names(
    tree: ast.AST, context: type[ast.expr_context], without: ast.AST | None = None
) -> set[str]:
    """Names that are read (Load) or bound (Store) in a tree, but for a part of it."""
    left_out = [] if without is None else [*ast.walk(without)]
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return {n.id for n in found if isinstance(n.ctx, context) and n not in left_out}


def module_names(tree: ast.Module) -> set[str]:
    """What a module imports and defines."""
    imports = (one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom))
    defined = {one.name for one in tree.body if isinstance(one, Function | ast.ClassDef)}
    return defined | {alias.asname or alias.name for one in imports for alias in one.names}


def test_no_comprehension_binds_a_name_of_the_module_that_its_function_reads() -> None:
    """Python 3.12.1 takes the one for the other, and raises UnboundLocalError."""
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        for function in functions(tree):
            for one in (node for node in ast.walk(function) if isinstance(node, INLINED)):
                read = names(function, ast.Load, without=one)
                clash = names(one, ast.Store) & read & module_names(tree)
                assert not clash, f"{path}: {function.name}: {clash}"


def test_every_document_cites_the_paper_alike() -> None:
    assert BIBTEX in (ROOT / "README.md").read_text("utf-8")
    entries = [path for path in ROOT.glob("*.md") if "@inproceedings" in path.read_text("utf-8")]
    assert [path.name for path in entries] == ["README.md"]


def test_the_version_stands_in_one_place_and_is_cited() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"\nversion: {project['version']}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    texts = (path.read_text("utf-8") for path in SOURCES)
    assert not any(f'"{project["version"]}"' in text for text in texts)


def test_every_experiments_readme_is_its_section_of_the_documents() -> None:
    text = documents.DOCUMENT.read_text("utf-8")
    assert text == documents.made(text), "run: python -m tests.documents"
    for name in experiments():
        assert f"<!-- {name}/README.md -->" in text
