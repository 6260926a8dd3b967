"""One object: the model's answers with attention to it knocked out, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.table import Table
from rich.text import Text

from retinoscope.experiments.bench import Bench
from retinoscope.experiments.knockout.measure import knockout
from retinoscope.experiments.knockout.records import KnockoutRecord
from retinoscope.experiments.knockout.settings import KnockoutSettings
from retinoscope.experiments.one_object import OneObject
from retinoscope.experiments.target import Target
from retinoscope.report.wording import chance


def show(bench: Bench[KnockoutSettings], target: Target) -> OneObject:
    """The knockouts of one object, without sweeps, whose tables are for many."""
    own = replace(bench.own, sweeps=())
    records, skipped = knockout(bench.checkpoint, target, bench.settings, own)
    return OneObject(records, (_table(records),), skipped=tuple(skipped))


def _table(records: Sequence[KnockoutRecord]) -> Table:
    """A row for each task and knockout, a column for each window of layers."""
    shown = [record for record in records if record.group]
    windows = {r.window: f"{r.first_layer}-{r.last_layer}" for r in shown}
    # Narrow heads, so that the table fits a terminal of 80 columns.
    heads = [name.replace("-", "-\n") + f"\n{layers}" for name, layers in windows.items()]
    title = "Answers and P(...), with attention knocked out in a window of layers"
    table = Table("task", "from, to", *heads, title=title, title_justify="left")
    for task, group, target in dict.fromkeys((r.task, r.group, r.target) for r in shown):
        own = {r.window: r for r in shown if (r.task, r.group, r.target) == (task, group, target)}
        cells = [
            Text(own[window].answer, "green" if own[window].right else "red").append(
                f"\n{own[window].probability:.3f}", "dim"
            )
            for window in windows
        ]
        of = chance(task, shown[0].class_name)
        table.add_row(Text(f"{task}\n{of}"), f"{group},\n{target}", *cells)
    return table
