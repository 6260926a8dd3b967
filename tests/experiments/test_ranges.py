"""Every setting is checked where it enters, so that none is taken for an object's misfortune."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from retinoscope.data import PAPER_FILTER, Filter
from retinoscope.errors import DataError, RunError
from retinoscope.experiments import OwnSettings, Settings, experiments
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.knockout.settings import KnockoutSettings
from retinoscope.runs import Plan

WRONG: dict[type, dict[str, list[Any]]] = {
    Settings: {
        "overlap": [-0.1, 1.0, float("nan")],
        "buffers": [(), (-1,), (0, 0)],
        "values": [(), ("magic",), ("mean", "mean")],
        "max_new_tokens": [0],
        "tasks": [(), ("describ",), ("poll", "poll")],
        "seed": [-1],
    },
    AblationSettings: {
        "sizes": [(0,), (5, 5)],
        "register_deviations": [float("nan"), float("inf")],
        "gradient_nodes": [4, -1],
        "gradient_tolerance": [0.0, -1.0, float("nan"), float("inf")],
    },
    KnockoutSettings: {"sweeps": [("foo",), ("layer", "layer"), ("",)]},
}

TYPES = """
from retinoscope.errors import RunError
from retinoscope.experiments import Settings
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.knockout.settings import KnockoutSettings
from retinoscope.results.protocol import Protocol

for kind, name, value in [
    (Settings, "buffers", (0.5,)), (Settings, "buffers", (True,)), (Settings, "buffers", 1),
    (AblationSettings, "sizes", (1.5,)), (Settings, "seed", 0.5), (Settings, "values", "mean"),
    (Settings, "tasks", "poll"), (Settings, "tasks", None), (KnockoutSettings, "sweeps", "layer"),
    (Settings, "max_new_tokens", 2.5), (Settings, "overlap", "much"),
    (AblationSettings, "gradient_tolerance", None), (Settings, "protocol", "paper"),
    (Settings, "protocol", None), (Settings, "protocol", Protocol(double_norm="no")),
]:
    try:
        kind(**{name: value})
    except RunError as error:
        assert name in str(error), (name, value, error)
    else:
        raise AssertionError((name, value))
"""
"""Values of another type; the tests' own check of types would refuse them first."""


def test_no_setting_is_left_out() -> None:
    # What another change adds must be checked too, or be named here.
    for kind, wrong in WRONG.items():
        assert {field.name for field in fields(kind)} <= wrong.keys() | {"protocol"}
    own = {experiments()[name].settings for name in ("ablation", "lens", "knockout")}
    assert own <= WRONG.keys() | {OwnSettings}


def test_a_setting_of_another_type_is_refused_by_name() -> None:
    subprocess.run([sys.executable, "-c", TYPES], check=True)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(k, n, v) for k, wrong in WRONG.items() for n, values in wrong.items() for v in values],
)
def test_a_setting_out_of_its_range_is_refused_by_name(kind: type, name: str, value: Any) -> None:
    with pytest.raises(RunError, match=name):
        kind(**{name: value})


def test_what_is_at_the_edge_is_taken() -> None:
    Settings(overlap=0, buffers=(2,), values=("zero",))
    AblationSettings(sizes=(), gradient_nodes=5)
    KnockoutSettings(sweeps=())


@pytest.mark.parametrize(
    "changes",
    [
        {"experiments": ("lens", "lens")},
        {"experiments": ("knockout",), "settings": Settings(tasks=("describe",))},
        {"mean_file": Path("mean.pt"), "mean_count": 5},
        {"experiments": ("lens",), "own": {"knockout": KnockoutSettings()}},
        {"own": {"knockout": AblationSettings()}},
    ],
)
def test_a_plan_that_would_ignore_a_choice_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RunError):
        Plan(Path("run"), **changes)


@pytest.mark.parametrize(
    "bounds",
    [
        {"min_area": float("nan")},
        {"max_area": float("nan")},
        {"min_area": 2000},
        {"max_annotations": 0},
    ],
)
def test_a_filter_that_can_keep_nothing_is_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="min_area under"):
        replace(PAPER_FILTER, **bounds)
    assert Filter() == PAPER_FILTER
