"""Laws of measuring in several processes: the same records, in the same order, or an error."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from retinoscope.data import load_image, open_data, select
from retinoscope.data.selection import Candidate
from retinoscope.engine import look
from retinoscope.errors import RunError
from retinoscope.experiments import OwnSettings, Settings
from retinoscope.experiments.bench import Bench
from retinoscope.models import load
from retinoscope.results.records import tables
from retinoscope.results.store import read
from retinoscope.runs import Silent, run
from retinoscope.runs.workers import working
from tests.runs.test_local import Impatient, plan


def place(bench: Bench, candidate: Candidate) -> tuple[int, int]:
    """Where a candidate stands among all, and in which process; the first takes longest."""
    index = next(i for i, one in enumerate(bench.candidates) if one[1] == candidate[1])
    time.sleep(0.3 / (1 + index))
    return index, os.getpid()


def vision_passes(bench: Bench, candidate: Candidate) -> int:
    """How often the vision tower runs for two questions about one image."""
    calls: list[None] = []
    tower = bench.checkpoint.model.get_submodule("model.vision_tower")
    hook = tower.register_forward_hook(lambda *_: calls.append(None))
    try:
        for question in ("Describe this image.", "How many things are there?"):
            look(bench.checkpoint, load_image(candidate[0]), question)
    finally:
        hook.remove()
    return len(calls)


def die(bench: Bench, candidate: Candidate) -> None:
    """What the machine does to a process that takes too much memory."""
    os._exit(9)


@pytest.fixture(scope="module")
def bench() -> Bench:
    dataset = open_data("embedded:8", seed=0)
    candidates = select(dataset, plan(Path()).filter, seed=0).candidates
    return Bench(load("embedded"), dataset.categories, candidates, Settings(), OwnSettings())


def test_results_come_in_the_objects_order(bench: Bench) -> None:
    assert len(bench.candidates) >= 4
    with working(bench, 2, partial(load, "embedded")) as each:
        found = list(each(place, bench.candidates))
        ahead = each(place, iter(bench.candidates))
        assert next(ahead)[0] == 0
    assert [index for index, _ in found] == list(range(len(bench.candidates)))
    assert os.getpid() not in {process for _, process in found}


def test_one_worker_is_this_process(bench: Bench) -> None:
    with working(bench, 1, partial(load, "nowhere")) as each:
        assert {process for _, process in each(place, bench.candidates)} == {os.getpid()}


@pytest.mark.parametrize("count", [1, 2])
def test_prompts_about_an_image_share_its_features(bench: Bench, count: int) -> None:
    with working(bench, count, partial(load, "embedded")) as each:
        # Once for each image; the first look at a model may compare with its own full forward.
        assert list(each(vision_passes, bench.candidates[:4]))[2:] == [1, 1]


def test_a_worker_that_dies_is_told_of(bench: Bench) -> None:
    with (
        working(bench, 2, partial(load, "embedded")) as each,
        pytest.raises(RunError, match="--workers 1"),
    ):
        list(each(die, bench.candidates))


def test_two_workers_measure_what_one_does(tmp_path: Path) -> None:
    one = run(plan(tmp_path / "one"), Silent())
    two = tmp_path / "two"
    with pytest.raises(KeyboardInterrupt):
        run(plan(two, workers=2), Impatient("ablation", 1))
    assert read(two).manifest.status == "interrupted"
    run(plan(two, workers=2), Silent())
    assert read(two).manifest.status == "complete"
    for table in tables():
        mine, other = read(two)[table], read(one)[table]
        assert mine.columns == other.columns
        for name in mine.columns:
            if mine[name].dtype.is_float():
                assert mine[name].is_null().equals(other[name].is_null())
                assert not ((mine[name] - other[name]).abs() > 1e-3).any(), (table, name)
            else:
                assert mine[name].equals(other[name]), (table, name)
