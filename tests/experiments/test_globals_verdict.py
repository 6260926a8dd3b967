"""The verdicts and the report of globals on records whose outcome is planted."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.globals.records import (
    GlobalRecord,
    ProbeRecord,
    ReadRecord,
    TypeRecord,
)
from retinoscope.experiments.globals.report import REPORT
from retinoscope.experiments.globals.tables import kind_table
from retinoscope.experiments.globals.verdict import global_features, outlier_tokens
from retinoscope.report.verdict import HELD, NOT_HELD, NOT_MEASURED
from tests.experiments.test_pairs import drawn, frame

IMAGES = 12


def read_rows(present: float, null: float, tokens: float, pixels: float) -> pl.DataFrame:
    rows = [
        ReadRecord(
            *(image, 1, state, "far background", layer, 50, share, null, 0.0, 0.0, 0.0, 0.0, 0.5)
        )
        for image in range(IMAGES)
        for layer in range(5)
        for state, share in (("clean", present), ("tokens", tokens), ("pixels", pixels))
    ]
    return frame(rows, ReadRecord)


def answers(changed: dict[tuple[str, str, bool], bool], images: int = IMAGES) -> pl.DataFrame:
    rows = [
        GlobalRecord(
            *(image, 1, "dog", "poll", "?", kind, mode, random, 9, 144, "Yes", not wrong),
            *(-1.0 if wrong else 2.0, True, 2.0),
        )
        for image in range(images)
        for (kind, mode, random), wrong in {("none", "", False): False, **changed}.items()
    ]
    return frame(rows, GlobalRecord)


FAR, ERASED, KEPT, ALL = (
    ("far background", "ablate", False),
    ("far background", "erased", False),
    ("far background", "keep", False),
    ("all", "ablate", False),
)


def test_planted_global_features_are_judged_genuine_used_or_an_artefact() -> None:
    there = read_rows(0.3, 0.03, 0.03, 0.03)
    unused = {FAR: False, ERASED: False, KEPT: True, ALL: True}
    found = global_features(answers(unused), there)
    assert found.outcome == NOT_HELD
    assert found.checks[-1].found.endswith("genuine, unused")
    for used in ({**unused, FAR: True}, {**unused, ERASED: True}, {**unused, KEPT: False}):
        found = global_features(answers(used), there)
        assert found.outcome == HELD
        assert found.checks[-1].found.endswith("genuine and used")
    for artefact in (read_rows(0.3, 0.3, 0.3, 0.0), read_rows(0.3, 0.03, 0.3, 0.3)):
        found = global_features(answers(unused), artefact)
        assert found.outcome == NOT_HELD
        assert found.checks[-1].found.endswith("an artefact")
    few = global_features(answers(unused, images=3), there.filter(pl.col("image_id") < 3))
    assert few.outcome.startswith("too few")
    assert global_features(answers({}, 0), there.head(0)).outcome == NOT_MEASURED


def types(on_objects: int) -> pl.DataFrame:
    rows = [
        TypeRecord(i, 1, "norm outliers", 4, 144, on_objects, 0, 1.0, None) for i in range(IMAGES)
    ]
    return kind_table(frame(rows, TypeRecord))


def test_planted_outliers_are_found_against_random_tokens() -> None:
    kind = "norm outliers"
    planted = {(kind, "ablate", False): True, (kind, "ablate", True): False}
    assert outlier_tokens(answers(planted), types(1)).outcome == HELD
    same = {(kind, "ablate", False): True, (kind, "ablate", True): True}
    assert outlier_tokens(answers(same), types(1)).outcome == NOT_HELD
    assert outlier_tokens(answers({}), types(1).head(0)).outcome == NOT_MEASURED
    assert outlier_tokens(answers(planted, images=3), types(1)).outcome.startswith("too few")


def test_what_lies_on_objects_is_no_outlier_that_answers_need() -> None:
    planted = {("norm outliers", "ablate", False): True, ("norm outliers", "ablate", True): False}
    verdict = outlier_tokens(answers(planted), types(4))
    assert verdict.outcome == NOT_MEASURED
    assert "100 % of them lie on objects" in verdict.checks[0].condition


def test_the_report_draws_what_there_is_and_nothing_of_nothing() -> None:
    records = answers({FAR: False, KEPT: True, ALL: True})
    lens = read_rows(0.3, 0.03, 0.03, 0.03)
    found = frame(
        [TypeRecord(i, 1, "norm outliers", i % 2, 144, 0, 0, None, None) for i in range(4)],
        TypeRecord,
    )
    probed = frame(
        [
            ProbeRecord(i, 1, "class", "last position", "none", "", False, 2, True, 0.1)
            for i in (1, 2)
        ],
        ProbeRecord,
    )
    some = {"globals": records, "globals_read": lens, "globals_types": found}
    some["globals_probes"] = probed
    assert drawn(REPORT, some) == (3, 2)
    assert drawn(REPORT, {name: table.head(0) for name, table in some.items()}) == (0, 0)
