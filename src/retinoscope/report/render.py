"""A run folder's report, drawn from the folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from retinoscope.report.examples import lens_stems
from retinoscope.report.figures.collect import write_figures
from retinoscope.report.lens_index import lens_index_page
from retinoscope.report.lens_page import Link, lens_page
from retinoscope.report.page import report_page
from retinoscope.report.parts import Tables, parts
from retinoscope.report.protocol import compare_runs
from retinoscope.report.tables.collect import collect, write_table, write_tables
from retinoscope.report.visible import visible
from retinoscope.results.atomic import replacing
from retinoscope.results.sheet import LensSheet, load_sheet
from retinoscope.results.store import Results, gather, read


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
    results = read(run)
    return draw(results, collect(results), [read(other) for other in beside])


def draw(
    results: Results, tables: Tables, others: Sequence[Results] = (), *, workers: int = 1
) -> Path:
    """As `render`, of a run that is read already, with its tables of `collect`.

    Args:
        results: the run.
        tables: its tables.
        others: runs beside it.
        workers: processes that draw figures, where there are many; 1 is this one alone.
    """
    run, key = results.path, results.manifest.key
    sheets = {stem: load_sheet(run / "lens" / f"{stem}.npz", key) for stem in lens_stems(run)}
    write_tables(tables, run / "tables")
    comparison = run / "tables" / "beside.csv"
    comparison.unlink(missing_ok=True)
    if others:
        write_table(compare_runs(results, others), comparison)
    drawings = write_figures(parts(results), tables, run / "figures", workers)
    write_lens_pages(
        sheets,
        run / "lens",
        title=f"Logit lens of {results.manifest.name}",
        report="../report.html",
    )
    page = run / "report.html"
    _write(page, report_page(results, tables, drawings, sheets, others))
    return page


def write_lens_pages(
    sheets: dict[str, LensSheet], folder: Path, title: str, report: str = ""
) -> Path:
    """Write a lens page for every sheet, and `index.html` over them, linked with one another.

    Args:
        sheets: file stem -> sheet; "<stem>@<condition>" is compared with "<stem>".
        folder: where the pages go.
        title: the index's title.
        report: address of the report that they belong to, from the folder; or "".

    Returns:
        The path of `index.html`.

    Raises:
        RunError: the folder can't be written.
    """
    for stem, sheet in sheets.items():
        clean = sheets.get(stem.partition("@")[0])
        shown = [sheet] if clean is None or clean is sheet else [clean, sheet]
        _write(folder / f"{stem}.html", lens_page(*shown, links=_links(stem, sheets, report)))
    index = folder / "index.html"
    if sheets:
        _write(index, lens_index_page(sheets, title, report))
    return index


def _links(stem: str, sheets: Mapping[str, LensSheet], report: str) -> list[Link]:
    """From one lens page to the report, the index, its image's other pages and its neighbours."""
    stems = list(sheets)
    image, place = stem.partition("@")[0], stems.index(stem)
    links = [Link("Report", report)] if report else []
    links.append(Link(f"All {len(stems)} lens pages" if len(stems) > 1 else "Index", "index.html"))
    for other in stems:
        if other != stem and other.partition("@")[0] == image:
            links.append(_to(other, visible(sheets[other].condition)))
    links += [_to(other, "Previous") for other in stems[max(0, place - 1) : place]]
    return links + [_to(other, "Next") for other in stems[place + 1 : place + 2]]


def _to(stem: str, text: str) -> Link:
    return Link(text, quote(f"{stem}.html"))


def _write(path: Path, page: str) -> None:
    with replacing(path) as stream:
        stream.write(page.encode())
