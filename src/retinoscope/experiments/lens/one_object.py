"""One object: which words its patches decode to, as a table by layer."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from retinoscope.experiments.bench import Bench
from retinoscope.experiments.lens.measure import lens
from retinoscope.experiments.lens.records import LensRecord
from retinoscope.experiments.one_object import OneObject
from retinoscope.experiments.target import Target
from retinoscope.results.own_settings import OwnSettings


def show(bench: Bench[OwnSettings], target: Target) -> OneObject:
    """The lens of one object's image."""
    records = lens(bench.checkpoint, target, bench.settings)
    return OneObject(records, (_table(records),))


def _table(records: Sequence[LensRecord]) -> Table:
    """A row for each layer: how many patches decode to the object's word."""
    title = Text(f"Patches that decode to {records[0].class_name!r}")
    heads = ("layer", "object, strict", "object, lenient", "mean rank", "background, strict")
    table = Table(*heads, title=title, title_justify="left")
    own = {r.layer: r for r in records if r.region == "object"}
    behind = {r.layer: r for r in records if r.region == "background"}
    for layer, record in own.items():
        other = behind.get(layer)
        table.add_row(
            str(layer),
            f"{record.strict} of {record.patches}",
            f"{record.lenient} of {record.patches}",
            f"{record.rank:.1f}",
            f"{other.strict} of {other.patches}" if other else "-",
        )
    return table
