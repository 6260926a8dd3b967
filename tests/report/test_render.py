"""A rendered run: every file is there, nothing leaks, everything stands in the page itself."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from retinoscope.errors import RunError
from retinoscope.report.lens_packing import LOG_STEP, views
from retinoscope.report.lens_page import lens_page
from retinoscope.report.render import render
from retinoscope.report.tables.collect import collect
from retinoscope.report.templating import script_json
from retinoscope.report.terminal import print_report
from retinoscope.results.manifest import read_manifest, write_manifest
from retinoscope.results.sheet import LensSheet
from retinoscope.results.store import read

Make = Callable[..., LensSheet]


class Page(HTMLParser):
    """What a browser would find: tags, attributes, scripts and the text that is read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.policy = ""
        self.kind: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append(tag)
        self.attributes += attrs
        self.kind = (named.get("type") or "code") if tag == "script" else None
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self.kind = None

    def handle_data(self, data: str) -> None:
        if self.kind == "code":
            self.scripts.append(data)
        elif self.kind is None:
            self.text += data


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    return render(run)


@pytest.fixture(scope="module")
def pages(report: Path) -> dict[str, Page]:
    lens = report.parent / "lens"
    files = [report, *lens.glob("*.html")]
    return {path.name: Page(path.read_text("utf-8")) for path in files}


def test_every_file_is_written(report: Path) -> None:
    run = report.parent
    assert report == run / "report.html"
    names = {"ablation-matched", "ablation-sizes", "lens-layers"}
    names |= {"knockout-windows", "knockout-layers", "knockout-heads"}
    assert {path.name for path in (run / "figures").iterdir()} == {
        f"{name}.{ending}" for name in names for ending in ("svg", "pdf")
    }
    assert pl.read_csv(run / "tables" / "ablation.csv").height > 0
    assert {path.name for path in (run / "lens").glob("*.html")} == {
        *("000100.html", "000101.html", "000102.html", "000100@object+1.html", "index.html")
    }


def test_drawing_again_changes_nothing(report: Path) -> None:
    files = [
        p for p in sorted(report.parent.rglob("*")) if p.suffix in {".html", ".svg", ".pdf", ".csv"}
    ]
    before = [path.read_bytes() for path in files]
    render(report.parent)
    assert [path.read_bytes() for path in files] == before


def test_pages_need_nothing_from_outside(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        for attribute, value in page.attributes:
            if attribute in {"src", "href", "xlink:href", "action", "srcset", "data"}:
                assert value is not None
                assert re.match(r"data:|#|[\w@%+./-]+\.html$", value), (name, attribute, value[:80])
        assert "default-src 'none'" in page.policy


def test_only_our_scripts_may_run(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        allowed = set(re.findall(r"'sha256-([^']+)'", page.policy))
        made = {
            base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.scripts
        }
        assert made == allowed, name
        assert "unsafe" not in page.policy.split("script-src")[1], name
        assert not [a for a, _ in page.attributes if a.startswith("on")], name


def test_model_words_are_text(pages: dict[str, Page]) -> None:
    # The vocabulary and the answers hold markup; a browser must find it as text alone.
    assert "<script>alert(1)</script>" in pages["report.html"].text
    assert "<script>alert(1)</script>" in pages["000100@object+1.html"].text
    for page in pages.values():
        assert not any("alert(1)" in script for script in page.scripts)
        assert "textarea" not in page.tags


def test_no_hidden_characters_reach_a_page(report: Path) -> None:
    for path in [report, *(report.parent / "lens").glob("*.html")]:
        assert not set("\u202e\u2028\u2029\ud800") & set(path.read_text("utf-8")), path.name


def test_the_report_says_what_was_run(pages: dict[str, Page], run: Path) -> None:
    manifest = read_manifest(run)
    text = pages["report.html"].text
    facts = [
        manifest.command,
        manifest.model.name,
        manifest.key,
        manifest.started,
        "7\u00a0min\u00a003\u00a0s",
    ]
    facts += [*manifest.versions.values(), *manifest.machine.values(), *manifest.skipped]
    for fact in [*facts, "71.8 %", "0f" * 32, "held here", "arXiv:2410.07149", "paper 33.4"]:
        assert fact in text, fact
    assert "nan" not in text.lower().split()
    assert "not complete" not in text


def test_what_training_built_in_stands_beside_the_verdicts(
    pages: dict[str, Page], run: Path, tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    page, stream = pages["report.html"], io.StringIO()
    assert page.text.count("Built in by training:") == 2
    assert page.attributes.count(("href", "#card")) == 2
    assert ("id", "card") in page.attributes
    assert "A choice that shapes the logit lens" in page.text
    results = read(run)
    print_report(results, collect(results), Console(file=stream, width=220, color_system=None))
    assert stream.getvalue().count("Built in by training:") == 2
    other = write_run(tmp_path / "other", objects=0, sheets=0)
    manifest = read_manifest(other)
    write_manifest(other, replace(manifest, model=replace(manifest.model, name="llava")))
    assert "Built in by training" not in Page(render(other).read_text("utf-8")).text


def test_every_probability_says_of_what(pages: dict[str, Page]) -> None:
    text = pages["report.html"].text
    assert re.findall(r"P\((yes|dog|cat|apple|traffic light)\) = 0\.\d\d", text)
    assert not re.findall(r"\bp = 0", text)


def test_a_run_of_four_objects_claims_nothing_it_cannot(
    tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    run = write_run(tmp_path / "four", objects=4, sheets=0)
    text = Page(render(run).read_text("utf-8")).text
    assert text.count("\u2013 too few objects to judge (at least") == 3
    assert "did not hold" not in text
    for name in ("lens_by_layer", "lens_summary"):
        table = pl.read_csv(run / "tables" / f"{name}.csv")
        shares = [c for c in table.columns if c.endswith("_low") or c.endswith("_high")]
        assert all(table[column].null_count() == table.height for column in shares)


def test_an_unfinished_run_is_drawn_and_says_so(
    tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    run = write_run(tmp_path / "cut", objects=0, sheets=0)
    write_manifest(run, replace(read_manifest(run), status="interrupted"))
    page = Page(render(run).read_text("utf-8"))
    assert "This run is not complete" in page.text
    assert page.text.count("Not measured in this run.") == 3


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        render(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_json_in_a_page_cannot_end_its_element() -> None:
    value = {"a": ["</script><!--", "\u2028\u2029&", "\ud800", "\U0001f600"]}
    text = str(script_json(value))
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_a_packed_sheet_holds_the_sheet(make_sheet: Make) -> None:
    sheet = make_sheet(np.random.default_rng(3), grid=7, layers=4, best=3)
    page = lens_page(sheet)
    header = json.loads(
        re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)[0]
    )[0]
    block = re.findall(r'<script type="text/plain" class="block">(.*?)</script>', page)[0]
    content = gzip.decompress(base64.b64decode(block))
    kinds = {"Float32Array": "<f4", "Int32Array": "<i4", "Uint16Array": "<u2", "Uint32Array": "<u4"}
    found = {}
    for name, (kind, offset, length) in header["arrays"].items():
        assert offset % np.dtype(kinds[kind]).itemsize == 0
        found[name] = np.frombuffer(content, kinds[kind], length, offset)
    np.testing.assert_array_equal(found["top"], sheet.top.ravel())
    np.testing.assert_array_equal(found["boxes"], sheet.boxes.ravel())
    np.testing.assert_array_equal(found["trackedRank"], sheet.tracked_rank.ravel())
    p = np.exp(-found["surprise"].astype(float) / LOG_STEP)
    np.testing.assert_allclose(p, sheet.probabilities.ravel(), rtol=5e-4)
    entropy = found["entropy"] / 65535 * header["entropyMax"]
    np.testing.assert_allclose(entropy, sheet.entropy.ravel(), atol=1e-4)
    assert len(header["vocabulary"]) == len(sheet.vocabulary)


def test_tiles_that_overlap_are_seen_apart(make_sheet: Make) -> None:
    from dataclasses import replace

    sheet = make_sheet(np.random.default_rng(0), grid=4)
    assert views(sheet) == [list(range(16))]
    # An overview, and a left and a right half over it.
    tile = np.repeat([0, 1, 2], [8, 4, 4]).astype(np.int32)
    half = np.array([[0, 0, 50, 100], [50, 0, 100, 100]], np.float32)
    boxes = np.concatenate([np.tile([0, 0, 100, 100], (8, 1)), half[[0] * 4], half[[1] * 4]])
    cells = np.stack([tile, 0 * tile, np.arange(16, dtype=np.int32)], 1)
    tiled = replace(sheet, boxes=boxes.astype(np.float32), cells=cells)
    assert views(tiled) == [list(range(8)), list(range(8, 16))]


def test_sheets_of_different_shape_cannot_be_compared(make_sheet: Make) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(RunError, match="can't compare"):
        lens_page(make_sheet(rng, grid=5), make_sheet(rng, grid=6))


def test_tables_are_whole_at_80_columns(run: Path) -> None:
    stream = io.StringIO()
    results = read(run)
    print_report(results, collect(results), Console(file=stream, width=80, color_system=None))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "\u2026" in line]


def test_the_terminal_shows_the_same_tables(run: Path) -> None:
    stream = io.StringIO()
    results = read(run)
    print_report(results, collect(results), Console(file=stream, width=220, color_system=None))
    text = stream.getvalue()
    for part in (
        "object +1",
        "71.8 %",
        "random 40",
        "Localisation: held",
        "Extraction: held",
        "paper 0.82",
    ):
        assert part in text, part
    assert "nan" not in text.lower().split()
