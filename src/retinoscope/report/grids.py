"""Tables as they are read: cells of text under grouped headings, for a page and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from retinoscope.report import paper
from retinoscope.report.tables.knockout import WINDOWS
from retinoscope.report.wording import DASH, count, interval, number, percent, probability, readable


@dataclass(frozen=True)
class Cell:
    """A number, and in smaller letters what it rests on (interval, n), maybe in several lines."""

    text: str
    detail: str = ""


@dataclass(frozen=True)
class Grid:
    """A table to read.

    Attributes:
        title: what it is.
        heads: column headings; the first column names the row.
        rows: cells, as many in each row as there are headings.
        groups: headings above the headings: (text, how many columns); () for none.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()


Row = Mapping[str, Any]

_VALUES = {
    "zero": "zero",
    "noise": "noise of the same norm",
    "resampled": "tokens of another image",
}


def ablation_grid(table: pl.DataFrame, value: str, tasks: tuple[str, ...]) -> Grid:
    """Decrease, test against random and the paper's figure, for each selection and task."""
    here = table.filter((pl.col("value") == value) & pl.col("task").is_in(tasks))
    shown = [task for task in tasks if task in here["task"]]
    common = {task: _common_n(here.filter(pl.col("task") == task)) for task in shown}
    rows = []
    for (name, selection, matched, size), group in here.group_by(
        ["label", "selection", "matched", "size"], maintain_order=True
    ):
        which = (str(selection), str(matched), int(str(size)))
        by_task = {row["task"]: row for row in group.iter_rows(named=True)}
        reference = paper.tokens(*which) if value == "mean" else None
        tokens = Cell(number(group["tokens"][0]), f"paper {reference:.1f}" if reference else "")
        cells = [Cell(str(name)), tokens]
        for task in shown:
            row = by_task.get(task)
            cells += [
                share_cell(row, common[task]),
                Cell(probability(row["mcnemar_p"]) if row else DASH),
                Cell(percent(paper.decrease(value, *which, task))),
            ]
        rows.append(tuple(cells))
    heads = ("tokens replaced", "number", *("decrease", "p", "paper") * len(shown))
    groups = (("", 2), *((_with_n(task, common[task]), 3) for task in shown))
    by = "the mean visual token" if value == "mean" else _VALUES.get(value, value)
    return Grid(f"Ablation: tokens replaced by {by}", heads, tuple(rows), groups)


def control_grid(table: pl.DataFrame) -> Grid:
    """The control: questions about an object that is not there, whose right answer is "no"."""
    grid = ablation_grid(table, "mean", ("poll-absent",))
    return replace(grid, title="Control: polls about an absent object (decrease: no became yes)")


def drop_grid(table: pl.DataFrame, value: str, tasks: tuple[str, ...]) -> Grid:
    """Mean drop of the right token's probability, for each selection and task."""
    here = table.filter((pl.col("value") == value) & pl.col("task").is_in(tasks))
    shown = [task for task in tasks if task in here["task"]]
    rows = []
    for (name,), group in here.group_by(["label"], maintain_order=True):
        by_task = {row["task"]: row for row in group.iter_rows(named=True)}
        cells = [_estimate_cell(by_task.get(task), "drop", digits=3, n="drop_n") for task in shown]
        rows.append((Cell(str(name)), *cells))
    return Grid(
        "Drop of the right token's probability (0 to 1)", ("tokens replaced", *shown), tuple(rows)
    )


def knockout_grid(table: pl.DataFrame, task: str) -> Grid:
    """Decrease and accuracy for each cut and window; a dash where it was not measured."""
    here = table.filter(pl.col("task") == task)
    others = here.filter(~pl.col("window").is_in(WINDOWS))["window"].unique(maintain_order=True)
    windows = [*WINDOWS, *others]
    cells = {(r["target"], r["group"], r["window"]): r for r in here.iter_rows(named=True)}
    common = _common_n(here)
    rows = []
    # The table comes sorted; the order of the cuts is that of their first rows.
    for target, group in here.select("target", "group").unique(maintain_order=True).rows():
        blocked = here.filter((pl.col("target") == target) & (pl.col("group") == group))
        keys = f"{number(blocked['keys'].mean())} keys"  # pyright: ignore[reportArgumentType]
        row = [Cell(f"{readable(group)} \u2192 {target}", keys)]
        for window in windows:
            cell = cells.get((target, group, window))
            row.append(_cut_cell(cell, paper.kept(task, group, target, window), common))
        rows.append(tuple(row))
    heads = tuple(_window_head(here, window) for window in windows)
    return Grid(
        f"Knockout, {_with_n(task, common)}: decrease, and accuracy relative to clean",
        ("blocked attention", *heads),
        tuple(rows),
    )


def lens_summary_grid(summary: pl.DataFrame) -> Grid:
    """Best layer and share, ours and the paper's."""
    rows = []
    for row in summary.iter_rows(named=True):
        rows.append(
            (
                Cell(f"this run, {row['measure']}", f"{count(row['objects'])} objects"),
                _estimate_cell(row, "best_share", scale=100.0, unit=" %"),
                _estimate_cell(row, "best_layer"),
                Cell(count(row["layers"])),
                _estimate_cell(row, "peak_share", scale=100.0, unit=" %"),
                Cell(str(row["peak_layer"])),
                _estimate_cell(row, "peak_background", scale=100.0, unit=" %"),
                Cell(percent(row["named"] / row["objects"] if row["objects"] else None)),
            )
        )
    for known in paper.LENS if rows else ():
        figures = (percent(known.share), number(known.best_layer), count(known.layers))
        unknown = (DASH,) * 4
        rows.append((Cell(f"paper, {known.model}"), *map(Cell, (*figures, *unknown))))
    heads = (
        *("", "share at each object's best layer", "mean best layer", "of layers"),
        *("highest mean share", "at layer", "background there", "objects named by some layer"),
    )
    return Grid("Logit lens", heads, tuple(rows))


def lens_layer_grid(by_layer: pl.DataFrame) -> Grid:
    """Every layer's shares on the object and beside it, and the curves."""
    rows = []
    background = {
        row["layer"]: row
        for row in by_layer.filter(pl.col("region") == "background").iter_rows(named=True)
    }
    for row in by_layer.filter(pl.col("region") == "object").iter_rows(named=True):
        behind = background.get(row["layer"])
        rows.append(
            (
                Cell(str(row["layer"])),
                *(
                    _estimate_cell(row, f"{measure}_{kind}", scale=100.0, unit=" %")
                    for measure in ("strict", "lenient")
                    for kind in ("macro", "micro")
                ),
                _estimate_cell(behind, "strict_macro", scale=100.0, unit=" %"),
                _estimate_cell(row, "rank"),
                _estimate_cell(row, "log_probability", digits=2),
                _estimate_cell(row, "entropy", digits=2),
            )
        )
    heads = (
        *("layer", "strict, mean of objects", "strict, all patches"),
        *("lenient, mean of objects", "lenient, all patches", "background, strict"),
        *("rank", "log-probability", "entropy"),
    )
    return Grid("Logit lens by layer", heads, tuple(rows))


def accuracy_grid(table: pl.DataFrame) -> Grid:
    """How often the untouched model is right."""
    rows = []
    for row in table.iter_rows(named=True):
        share = f"{interval(row['accuracy_low'], row['accuracy_high'])}"
        cells = (count(row["right"]), count(row["n"]))
        rows.append(
            (
                Cell(f"{row['experiment']}, {row['task']}"),
                Cell(percent(row["accuracy"]), share),
                *map(Cell, cells),
            )
        )
    return Grid("The model untouched", ("experiment, task", "right", "count", "of"), tuple(rows))


def plain_grid(title: str, table: pl.DataFrame, heads: tuple[str, ...]) -> Grid:
    """A table as it stands: text, whole numbers, shares in percent where the column says so."""
    rows = []
    for row in table.iter_rows(named=True):
        rows.append(tuple(Cell(_plain(name, value)) for name, value in row.items()))
    return Grid(title, heads, tuple(rows))


def share_cell(row: Row | None, common: int | None) -> Cell:
    """A decrease with its interval, and its n unless that is `common` to all."""
    if row is None:
        return Cell(DASH)
    counts = _both_counts(row)
    if not row["n"]:
        return Cell(DASH, "\n".join(counts))
    span = interval(row["decrease_low"], row["decrease_high"])
    return Cell(percent(row["decrease"]), "\n".join((span, *_own_n(row, common), *counts)))


def _cut_cell(row: Row | None, known: float | None, common: int | None) -> Cell:
    reference = () if known is None else (f"paper {known:.2f}",)
    if row is None or not row["n"]:
        return Cell(DASH, "\n".join(reference))
    span = interval(row["kept_low"], row["kept_high"], scale=1.0, digits=2)
    lines = (f"{number(row['kept'], 2)} ({span})", *_own_n(row, common), *reference)
    return Cell(percent(row["decrease"]), "\n".join(lines))


def _common_n(rows: pl.DataFrame) -> int | None:
    """The n that all rows share, to be said once; None where they differ."""
    return rows["n"][0] if rows.height and rows["n"].n_unique() == 1 else None


def _own_n(row: Row, common: int | None) -> tuple[str, ...]:
    return () if row["n"] == common else (f"n = {row['n']}",)


def _both_counts(row: Row) -> tuple[str, ...]:
    """Where images have no such tokens: how many have, and how many there are."""
    some, everything = row.get("with_tokens"), row.get("in_all")
    return () if some == everything else (f"{some} of {everything} have any",)


def _with_n(task: str, common: int | None) -> str:
    return task if common is None else f"{task} (n = {common})"


def _window_head(here: pl.DataFrame, window: str) -> str:
    rows = here.filter(pl.col("window") == window)
    if not rows.height:
        return window
    return f"{window} ({rows['first_layer'].min()} to {rows['last_layer'].max()})"


def _estimate_cell(
    row: Row | None,
    name: str,
    *,
    scale: float = 1.0,
    digits: int = 1,
    unit: str = "",
    n: str = "",
) -> Cell:
    if row is None or row[name] is None:
        return Cell(DASH)
    span = interval(row[f"{name}_low"], row[f"{name}_high"], scale=scale, digits=digits)
    detail = ", ".join(part for part in (span, f"n = {row[n]}" if n else "") if part)
    return Cell(f"{number(scale * row[name], digits)}{unit}", detail)


def _plain(name: str, value: Any) -> str:
    if value is None:
        return DASH
    if name == "share":
        return percent(value)
    if isinstance(value, float):
        return number(value)
    return count(value) if isinstance(value, int) else str(value)
