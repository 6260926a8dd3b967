"""Differences between variants, with seeds as the unit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

LENS = "lens_strict"
KNOWN, UNKNOWN = "validation", "heldout"
"""New scenes of the training's sprites, and of sprites of another artist (Twemoji)."""


@dataclass(frozen=True)
class Contrast:
    """The difference of two groups of seeds.

    Attributes:
        first: what each seed gave.
        second: likewise.
        difference: of the means.
        low: of Welch's 95 % interval over seeds; infinite where a group has one seed.
        high: likewise.
        p: exact two-sided permutation test over seeds.
        least: the smallest p that so many seeds can give.
    """

    first: tuple[float, ...]
    second: tuple[float, ...]
    difference: float
    low: float
    high: float
    p: float
    least: float


def compare(first: Sequence[float], second: Sequence[float]) -> Contrast:
    """Compare two groups of seeds.

    Args:
        first: one value a seed, at least one.
        second: likewise.

    Raises:
        ValueError: a group is empty.
    """
    if not len(first) or not len(second):
        raise ValueError("a contrast needs at least one seed on each side")
    a, b = np.asarray(first, float), np.asarray(second, float)
    difference, low, high = _summed([a, b], (1, -1))
    p, least = permutation_test(a, b)
    return Contrast(tuple(a), tuple(b), difference, low, high, p, least)


def permutation_test(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Give p of the difference of means over all ways to part the seeds, and the smallest p."""
    both = np.concatenate([a, b])
    seen = abs(a.mean() - b.mean())
    ways = list(itertools.combinations(range(len(both)), len(a)))
    hits = 0
    for chosen in ways:
        rest = np.delete(both, chosen)
        hits += abs(both[list(chosen)].mean() - rest.mean()) >= seen - 1e-9
    # Groups of equal size can be exchanged: the same difference comes twice.
    return hits / len(ways), (2 if len(a) == len(b) else 1) / len(ways)


def interaction(cells: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Give (a - b) - (c - d) of four groups of seeds, with Welch's 95 % interval.

    Args:
        cells: a, b, c, d; at least two seeds each.
    """
    return _summed([np.asarray(cell, float) for cell in cells], (1, -1, -1, 1))


def _summed(cells: Sequence[np.ndarray], signs: Sequence[int]) -> tuple[float, float, float]:
    """Give a signed sum of means with Welch's 95 % interval, infinite where a cell has one seed."""
    value = float(sum(sign * cell.mean() for sign, cell in zip(signs, cells, strict=True)))
    if min(map(len, cells)) < 2:
        return value, -np.inf, np.inf
    parts = [cell.var(ddof=1) / len(cell) for cell in cells]
    weights = sum(part**2 / (len(cell) - 1) for part, cell in zip(parts, cells, strict=True))
    if not weights:
        return value, value, value
    half = float(stats.t.ppf(0.975, sum(parts) ** 2 / weights) * sum(parts) ** 0.5)
    return value, value - half, value + half


def clean(table: pl.DataFrame, measure: str, split: str = KNOWN) -> pl.DataFrame:
    """Rows of one measure, of passes that nothing changed."""
    return table.filter(
        pl.col("measure") == measure, pl.col("split") == split, pl.col("condition") == "clean"
    )


def peaks(table: pl.DataFrame, split: str = KNOWN, measure: str = LENS) -> pl.DataFrame:
    """The layer with the largest share, for each variant, seed and checkpoint."""
    rows = clean(table, measure, split).sort("value", "layer", descending=[True, False])
    return rows.unique(["variant", "seed", "checkpoint"], keep="first", maintain_order=True)


def seeds_of(rows: pl.DataFrame, variant: str) -> list[float]:
    """One value a seed of a variant, in the seeds' order."""
    return rows.filter(pl.col("variant") == variant).sort("seed")["value"].to_list()


def at_end(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of the last checkpoint."""
    return rows.filter(pl.col("checkpoint") == 6)


def curve(table: pl.DataFrame, variant: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and peak share of the lens at each checkpoint of one model, 0 included."""

    def values(rows: pl.DataFrame) -> np.ndarray:
        one = rows.filter(pl.col("variant") == variant, pl.col("seed") == seed)
        return one.sort("checkpoint")["value"].to_numpy()

    accuracy = clean(table, "accuracy").filter(pl.col("task") == "all")
    return values(accuracy), values(peaks(table))


def at_accuracy(table: pl.DataFrame, names: Sequence[str]) -> tuple[float, dict[str, list[float]]]:
    """The lens of every seed where its accuracy first reaches what all of them reach.

    Args:
        table: the variants' records.
        names: the variants to compare.

    Returns:
        That accuracy, and by variant the share of each seed, interpolated between checkpoints.
    """
    curves = {
        (name, seed): curve(table, name, seed)
        for name in names
        for seed in sorted(set(table.filter(pl.col("variant") == name)["seed"]))
    }
    target = min(float(accuracy.max()) for accuracy, _ in curves.values())
    found: dict[str, list[float]] = {name: [] for name in names}
    for (name, _), (accuracy, lens) in curves.items():
        after = int(np.argmax(accuracy >= target - 1e-9))
        before = max(after - 1, 0)
        step = accuracy[after] - accuracy[before]
        weight = (target - accuracy[before]) / step if step else 1.0
        found[name].append(float(lens[before] + weight * (lens[after] - lens[before])))
    return target, found
