"""Experiments that measure scenes of their own where the run's data are the embedded ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from retinoscope.data import Dataset, arranged_scenes
from retinoscope.errors import DataError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import representative
from retinoscope.models import load
from retinoscope.results.experiment import experiments
from retinoscope.results.own_settings import OwnSettings
from retinoscope.runs.candidates import apart_from
from retinoscope.runs.plan import Plan
from retinoscope.runs.progress import Silent

NOTHING = Dataset("nothing", Path(), (), ())


def test_scenes_stand_in_for_the_embedded_ones_alone(tmp_path: Path) -> None:
    plan = Plan(tmp_path, experiments=("lens", "reasoning"))
    assert plan.own_scenes == {"reasoning": experiments()["reasoning"].scenes}
    assert replace(plan, data="embedded:50").own_scenes == plan.own_scenes
    assert replace(plan, data="coco:somewhere").own_scenes == {}
    assert replace(plan, experiments=("lens",)).own_scenes == {}


def test_a_limit_bounds_them_and_every_image_counts_once(tmp_path: Path) -> None:
    found = apart_from(Plan(tmp_path, experiments=("reasoning",), limit=5), NOTHING, Silent())[
        "reasoning"
    ]
    assert len(found) == 5
    assert len({sample.image_id for sample, _ in found}) == 5


def test_an_experiment_measures_its_own_or_the_runs(tmp_path: Path) -> None:
    own = apart_from(Plan(tmp_path, experiments=("reasoning",), limit=2), NOTHING, Silent())[
        "reasoning"
    ]
    checkpoint = load(tiny.save(tmp_path / "model"))
    bench = Bench(checkpoint, (), own[:1], Settings(), OwnSettings(), {"reasoning": own})
    assert bench.candidates_of("reasoning") is own
    assert bench.candidates_of("lens") is bench.candidates


def test_kinds_take_turns_and_each_is_what_it_is_alone() -> None:
    mixed = arranged_scenes("rows+groups", 4).samples
    rows, groups = (arranged_scenes(kind, 2).samples for kind in ("rows", "groups"))
    names = [[one.class_name for one in sample.annotations] for sample in mixed]
    alone = [[one.class_name for one in sample.annotations] for sample in (*rows, *groups)]
    assert names == [alone[0], alone[2], alone[1], alone[3]]
    with pytest.raises(DataError, match="nothing"):
        arranged_scenes("rows+nothing", 2)


def test_the_representative_is_any_object_and_always_the_same() -> None:
    samples = arranged_scenes("rows", 60).samples
    places = Counter(
        sample.annotations.index(representative(sample, 0)) / len(sample.annotations)
        for sample in samples
    )
    assert len(places) >= 5
    assert all(representative(one, 0) is representative(one, 0) for one in samples[:5])


def test_a_dear_experiment_measures_fewer_unless_a_number_is_asked_for(tmp_path: Path) -> None:
    plan = Plan(tmp_path, experiments=("lens", "drivers"))
    assert plan.most == {"drivers": experiments()["drivers"].most}
    assert replace(plan, limit=100).most == {}
    assert replace(plan, data="coco:somewhere").most == {}
