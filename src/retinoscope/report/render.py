"""A run folder's report, drawn from the folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retinoscope.report.examples import lens_stems
from retinoscope.report.figures.collect import write_figures
from retinoscope.report.lens_index import lens_index_page
from retinoscope.report.lens_page import lens_page
from retinoscope.report.page import report_page
from retinoscope.report.parts import parts
from retinoscope.report.protocol import compare_runs
from retinoscope.report.tables.collect import collect, write_table, write_tables
from retinoscope.results.atomic import replacing
from retinoscope.results.sheet import LensSheet, load_sheet
from retinoscope.results.store import gather, read


def render(run: Path, beside: Sequence[Path] = ()) -> Path:
    """Draw a run: `report.html`, `figures/`, `tables/`, and a lens page for each sheet.

    `lens/<id>.npz` becomes `lens/<id>.html`; `lens/<id>@<condition>.npz` becomes a page that
    compares it with `<id>.npz`, side by side. `<id>` starts with the image id. Parts of an
    unfinished run are gathered first, so that what there is can be seen.

    Args:
        run: the run folder.
        beside: folders of other runs, such as one under another protocol; their headline figures
            are set beside this run's, in the page and in `tables/beside.csv`.

    Returns:
        The path of `report.html`.

    Raises:
        RunError: not a run folder, a broken file in it, or the folder can't be written.
    """
    gather(run)
    results, others = read(run), [read(other) for other in beside]
    tables = collect(results)
    key = results.manifest.key
    sheets = {stem: load_sheet(run / "lens" / f"{stem}.npz", key) for stem in lens_stems(run)}
    write_tables(tables, run / "tables")
    comparison = run / "tables" / "beside.csv"
    comparison.unlink(missing_ok=True)
    if others:
        write_table(compare_runs(results, others), comparison)
    drawings = write_figures(parts(results), tables, run / "figures")
    write_lens_pages(sheets, run / "lens", title=f"Logit lens of {results.manifest.name}")
    page = run / "report.html"
    _write(page, report_page(results, tables, drawings, sheets, others))
    return page


def write_lens_pages(sheets: dict[str, LensSheet], folder: Path, title: str) -> Path:
    """Write a lens page for every sheet, and `index.html` over them.

    Args:
        sheets: file stem -> sheet; "<stem>@<condition>" is compared with "<stem>".
        folder: where the pages go.
        title: the index's title.

    Returns:
        The path of `index.html`.

    Raises:
        RunError: the folder can't be written.
    """
    for stem, sheet in sheets.items():
        clean = sheets.get(stem.partition("@")[0])
        shown = [sheet] if clean is None or clean is sheet else [clean, sheet]
        _write(folder / f"{stem}.html", lens_page(*shown))
    index = folder / "index.html"
    if sheets:
        _write(index, lens_index_page(sheets, title))
    return index


def _write(path: Path, page: str) -> None:
    with replacing(path) as stream:
        stream.write(page.encode())
