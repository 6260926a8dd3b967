"""Flow's verdict and areas on records whose outcome is planted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from retinoscope.experiments.flow.records import (
    SCORES,
)
from retinoscope.experiments.flow.tables import areas, pair_table, score_table
from retinoscope.experiments.flow.verdict import flow_verdict
from retinoscope.report.verdict import HELD, NOT_HELD


def synthetic(area: Callable[[str, np.random.Generator], float]) -> pl.DataFrame:
    random = np.random.default_rng(0)
    base = {"class_name": "dog", "task": "poll", "prompt": "?", "value": "mean", "tokens": 16}
    base |= {"object_share": 0.1, "clean_ld": 4.0, "right": True, "clean_right": True}
    rows = [
        base
        | {"image_id": image, "object_id": image, "score": score, "direction": "deletion"}
        | {"size": size, "mass": 0.2, "ld": 4.0 * area(score, random)}
        for image in range(20)
        for score in SCORES
        for size in (1, 2)
    ]
    return pl.DataFrame(rows)


def test_the_verdict_holds_where_rollout_is_planted_as_best() -> None:
    level = {"rollout": 0.2, "raw attention": 0.5, "random": 0.9}
    good = areas(synthetic(lambda score, r: level.get(score, 0.7) + 0.1 * r.standard_normal()))
    verdict = flow_verdict(pair_table(good), ["poll"], "mean")
    assert verdict.outcome == HELD
    assert "better: AUC" in verdict.checks[1].found and "evidence of extraction" in verdict.rule
    same = areas(synthetic(lambda score, r: 0.5 + 0.1 * r.standard_normal()))
    assert flow_verdict(pair_table(same), ["poll"], "mean").outcome == NOT_HELD
    few = areas(synthetic(lambda score, r: level.get(score, 0.7)).filter(pl.col("image_id") < 3))
    assert flow_verdict(pair_table(few), ["poll"], "mean").outcome.startswith("too few")
    assert flow_verdict(pair_table(few), ["ask"], "mean").outcome == "not measured"


def test_areas_are_means_of_held_shares() -> None:
    wild = {"rollout": -9.0, "raw attention": 9.0}
    found = areas(synthetic(lambda score, _: wild.get(score, 0.5)))
    table = score_table(found)
    for score, expected in (("rollout", -1.0), ("raw attention", 1.5), ("ALTI", 0.5)):
        row = table.filter(score=score).row(0, named=True)
        assert row["area"] == pytest.approx(expected)
        assert row["area_n"] == 20
    assert table.filter(score="random")["beyond_random"].to_list() == [None]
    assert all(p is None or p <= q for p, q in table.select("p", "holm").iter_rows())
