"""The study follows from its records, and its statistics are right."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recipes.variants.catalogue import VARIANTS
from recipes.variants.records import Record
from recipes.variants.study.contrast import at_accuracy, compare, interaction
from recipes.variants.study.page import TITLES, verdict, write_page
from recipes.variants.tables import read_table, to_table

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def variants() -> pl.DataFrame:
    return read_table("variants")


def test_every_arm_has_its_seeds_and_shares_lie_in_their_intervals(variants: pl.DataFrame) -> None:
    trained = {*variants["variant"]} - {"random"}
    page = (DOCS / "refinement.md").read_text("utf-8")
    for name, variant in VARIANTS.items():
        seeds = set(variants.filter(pl.col("variant") == name)["seed"])
        assert seeds == (set(range(variant.seeds)) if name in trained else set())
        # What was not trained is said to be missing.
        assert (f"{name} ({variant.change})" in page) == (name not in trained)
    assert {"V0", "V1", "V2", "V3", "V10"} <= trained <= {*VARIANTS}
    for column in ("value", "low", "high"):
        assert variants[column].is_between(0, 1).all()
    assert (variants["low"] <= variants["high"]).all()


def test_the_page_is_what_the_records_give(variants: pl.DataFrame, tmp_path: Path) -> None:
    assert all((DOCS / f"refinement-{name}.svg").is_file() for name in TITLES)
    made = tmp_path / "refinement.md"
    write_page(variants, read_table("embedded"), made)
    assert made.read_text("utf-8") == (DOCS / "refinement.md").read_text("utf-8")


def test_the_verdict_says_when_the_measure_is_broken(variants: pl.DataFrame) -> None:
    assert "so the measure can see it" in verdict(variants)
    names = pl.col("variant").replace({"V0": "V10", "V10": "V0"})
    assert "the measure is broken" in verdict(variants.with_columns(names))


def test_permutations_are_all_counted() -> None:
    apart = compare([4.0, 5.0, 6.0, 7.0], [0.0, 1.0, 2.0, 3.0])
    assert apart.p == apart.least == pytest.approx(2 / 70)
    assert compare([1.0, 2.0], [1.0, 2.0]).p == 1
    alone = compare([1.0], [0.0, 0.5])
    assert alone.low == -np.inf and alone.least == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="at least one seed"):
        compare([], [1.0])


def test_p_is_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    ps = [compare(*np.split(rng.normal(size=6), 2)).p for _ in range(400)]
    for level in (0.1, 0.3, 0.5):
        assert abs(np.mean(np.array(ps) <= level + 1e-9) - level) < 0.08


def test_interaction_is_the_difference_of_differences() -> None:
    value, low, high = interaction([[5.0, 5.2], [3.0, 3.2], [2.0, 2.2], [1.0, 1.2]])
    assert value == pytest.approx(1.0)
    assert low < value < high


def test_equal_accuracy_interpolates_between_checkpoints() -> None:
    def model(name: str, accuracy: list[float], lens: list[float]) -> list[Record]:
        return [
            Record(name, 0, at, at, "validation", measure, "clean", layer, task, value, 0, 1, 9, 9)
            for at, pair in enumerate(zip(accuracy, lens, strict=True))
            for (measure, layer, task), value in zip(
                (("accuracy", -1, "all"), ("lens_strict", 3, "object")), pair, strict=True
            )
        ]

    rows = [
        *model("V0", [0.0, 0.4, 0.8], [0.0, 0.2, 0.6]),
        *model("V1", [0.0, 0.3, 0.6], [0, 0, 0.3]),
    ]
    target, found = at_accuracy(to_table(rows), ("V0", "V1"))
    assert target == pytest.approx(0.6)
    assert found["V0"] == [pytest.approx(0.4)]
    assert found["V1"] == [pytest.approx(0.3)]
    assert len(list(itertools.chain(*found.values()))) == 2
