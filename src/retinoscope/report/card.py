"""A dataset card: what the Hugging Face hub shows of a run folder, and how others read it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import DatasetCardData

from retinoscope.errors import RunError
from retinoscope.report.built_in import built_in
from retinoscope.report.page import judged
from retinoscope.report.paper import BIBTEX
from retinoscope.report.tables.collect import collect
from retinoscope.results.atomic import replacing
from retinoscope.results.protocol import protocol_name, recorded_protocol
from retinoscope.results.store import Results, gather, read


def write_card(run: Path) -> Path:
    """Write `README.md` into a run folder: the form in which the hub shows data sets.

    Its front matter names every table that holds records, so that `load_dataset(NAME, TABLE)` reads
    it; below stand what was run, the verdicts, and the tables. No licence is named: that of the
    images and of the model is not ours to say.

    Returns:
        The path of the card.

    Raises:
        RunError: not a run folder, nothing was measured, or the folder can't be written.
    """
    gather(run)
    results = read(run)
    measured = [name for name, table in results.tables.items() if table.height]
    if not measured:
        raise RunError(f"{run} holds no record yet; run it before you write its card.")
    path = run / "README.md"
    with replacing(path) as stream:
        stream.write(card(results, measured).encode())
    return path


def card(results: Results, measured: list[str]) -> str:
    """The card's text: front matter in YAML, then Markdown.

    Args:
        results: the run.
        measured: names of its tables that hold records.
    """
    manifest = results.manifest
    files = {name: f"records/{name}.parquet" for name in measured}
    configs = [{"config_name": name, "data_files": path} for name, path in files.items()]
    data = DatasetCardData(
        pretty_name=f"Retinoscope: {manifest.name}",
        tags=["interpretability", "vision-language-model", "retinoscope"],
        configs=configs,
    )
    parts = [_what_was_run(results), _verdicts(results), _tables(results, measured), _CITE]
    return f"---\n{data.to_yaml()}\n---\n\n# {_line(manifest.name)}\n\n" + "\n\n".join(parts) + "\n"


def _what_was_run(results: Results) -> str:
    manifest = results.manifest
    rows = {
        "model": f"{manifest.model.name} {manifest.model.revision}".strip(),
        "data": manifest.data.get("spec", "not recorded"),
        "protocol": protocol_name(recorded_protocol(manifest.configuration)),
        **manifest.counts,
        "status": manifest.status,
        "finished": manifest.finished or "not yet",
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
    }
    intro = (
        "Records of one run of Retinoscope, which looks into a vision-language model: every answer "
        "under every condition that was measured."
    )
    return f"{intro}\n\n{_grid(('', ''), rows.items())}"


def _verdicts(results: Results) -> str:
    """Each claim with what was found; where training built it in, that too."""
    trained = built_in(results.manifest.model)
    found = []
    for verdict in judged(results, collect(results)):
        found.append(f"**{verdict.name}: {verdict.outcome}.** {verdict.claim}\n")
        found += [f"- {one.condition}: {one.found} ({one.mark})" for one in verdict.checks]
        note = trained.get(verdict.name, "")
        found.append(f"\n{note}\n" if note else "")
    return "## What came out\n\n" + "\n".join(found).strip()


def _tables(results: Results, measured: list[str]) -> str:
    tables = [results.tables[name] for name in measured]
    rows = [
        (f"`{name}`", table.height, ", ".join(table.columns))
        for name, table in zip(measured, tables, strict=True)
    ]
    read_it = f"""```python
import polars as pl

{measured[0]} = pl.read_parquet("records/{measured[0]}.parquet")
```"""
    return f"## Records\n\n{_grid(('table', 'rows', 'columns'), rows)}\n\n{read_it}"


def _grid(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown."""
    lines = [[*heads], *[[*row] for row in rows]]
    lines.insert(1, ["---"] * len(lines[0]))
    cells = [[_line(cell).replace("|", "\\|") for cell in row] for row in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _line(given: object) -> str:
    """Whatever it holds, it stays in its line and is no markup."""
    return " ".join(str(given).split()).replace("<", "&lt;")


_CITE = f"""## Cite

The experiments are those of [arXiv 2410.07149](https://arxiv.org/abs/2410.07149).

```bibtex
{BIBTEX.strip()}
```"""
