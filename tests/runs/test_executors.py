"""Laws of executors: every target with its result, wherever it is done, or an error; no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from retinoscope.data import open_data, select
from retinoscope.errors import RunError
from retinoscope.experiments import OwnSettings, Settings
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.once import OnceForRun
from retinoscope.models import load
from retinoscope.results.measured import Store
from retinoscope.results.records import tables
from retinoscope.results.store import read
from retinoscope.runs import Silent, run
from retinoscope.runs.executors import Executor, executing, in_order
from retinoscope.runs.mean import mean_by
from retinoscope.runs.mean_groups import GROUP
from retinoscope.runs.units import Measurement, carry_out
from tests.runs.test_local import Impatient, plan


def process(bench: Bench, place: int, other: Path | None = None) -> int:
    """In which process a target is done; the first waits until another one is."""
    if other is not None and place:
        other.touch()
    until = time.monotonic() + 120
    while other is not None and not other.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return os.getpid()


def vision_passes(store: Store, bench: Bench, place: int) -> int:
    """How often the vision tower runs while several questions about one image are measured."""
    calls: list[None] = []
    tower = bench.checkpoint.model.get_submodule("model.vision_tower")
    hook = tower.register_forward_hook(lambda *_: calls.append(None))
    own = {"knockout": plan(Path()).own_settings("knockout")}
    try:
        carry_out(store, own, bench, Measurement("knockout", place))
    finally:
        hook.remove()
    return len(calls)


def make(bench: Bench) -> int:
    """What a run needs once, and in which process it was made."""
    return os.getpid()


made = OnceForRun("which-process", make)


def made_by(bench: Bench, place: int, other: Path | None = None) -> tuple[int, int]:
    """In which process a target is done, and in which one what all need was made."""
    return process(bench, place, other), made(bench)


def die(bench: Bench, place: int) -> None:
    """What the machine does to a process that takes too much memory."""
    os._exit(9)


@pytest.fixture(scope="module")
def bench() -> Bench:
    dataset = open_data("embedded:8", seed=0)
    candidates = select(dataset, plan(Path()).filter, seed=0).candidates
    return Bench(load("embedded"), dataset.categories, candidates, Settings(), OwnSettings())


def test_what_a_run_needs_once_is_made_by_one_process_for_all(bench: Bench, tmp_path: Path) -> None:
    with opened(bench, 2) as executor:
        ((_, (_, maker)),) = executor.map(made_by, [0])
        waiting = partial(made_by, other=tmp_path / "done")
        found = [pair for _, pair in executor.map(waiting, range(6))]
    assert len({own for own, _ in found}) == 2
    assert {by for _, by in found} == {maker}


def test_without_room_to_share_it_is_made_and_kept_all_the_same(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    once = OnceForRun("which-process", make)
    assert once(replace(bench, shared=tmp_path / "file")) == os.getpid()


def opened(bench: Bench, count: int) -> AbstractContextManager[Executor]:
    return executing(bench, count, partial(load, "embedded"))


@pytest.mark.parametrize("count", [1, 2])
def test_each_target_comes_once_with_its_result(bench: Bench, count: int, tmp_path: Path) -> None:
    waiting = partial(process, other=tmp_path / "done" if count > 1 else None)
    with opened(bench, count) as executor:
        found = list(executor.map(waiting, range(8)))
        ordered = [place for place, _ in in_order(executor, process, range(8))]
        passes = partial(vision_passes, Store(tmp_path, "k"))
        shared = [count for _, count in in_order(executor, passes, range(4))]
        ahead = executor.map(process, iter(range(8)))
        next(ahead)
    assert sorted(place for place, _ in found) == list(range(8))
    assert ordered == list(range(8))
    assert (os.getpid() in {where for _, where in found}) == (count == 1)
    # The slow first one keeps nobody from going on.
    assert count == 1 or found[0][0] != 0
    # An image's features are computed once; the first look at a model compares with its own pass.
    assert shared[2:] == [1, 1]


def mean_of(bench: Bench, place: int) -> list[float]:
    """The mean visual token that a target is measured with."""
    assert bench.checkpoint.mean is not None
    return bench.checkpoint.mean.tolist()


def test_a_mean_is_the_same_bytes_whoever_measures_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = replace(bench, mean_images=[sample for sample, _ in bench.candidates[:2]] * 20)
    assert len(many.mean_images) > 2 * GROUP
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found: list[bytes] = []
    for count, stop in ((1, -1), (2, -1), (2, GROUP)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"{count} {stop}"))
        with opened(many, count) as executor:
            if stop > 0:
                with pytest.raises(KeyboardInterrupt):
                    mean_by(executor, many, (), Impatient("mean visual token", stop))
            mean = mean_by(executor, many, ("a file",), Silent())
            assert (mean.images, mean.skipped) == (40, ("a file",))
            ready = executor.with_mean(mean.value)
            given = [given for _, given in ready.map(mean_of, range(2))]
            other = ready.with_mean(mean.value + 1)
            later = [given for _, given in other.map(mean_of, range(2))]
        assert given == [mean.value.tolist()] * 2
        assert later == [(mean.value + 1).tolist()] * 2, "a mean that is given later stands"
        found += [mean.value.numpy().tobytes() + mean.standard_error.numpy().tobytes()]
    torch.set_num_threads(threads)
    assert len({*found}) == 1


class Mortal:
    """Ends the process that reads it."""

    def __reduce__(self) -> Any:
        return os._exit, (9,)


def test_a_worker_that_dies_is_told_of(bench: Bench) -> None:
    with opened(bench, 2) as executor, pytest.raises(RunError, match="--workers 1"):
        list(executor.map(die, range(4)))


def test_a_worker_that_dies_while_it_starts_is_told_of(bench: Bench) -> None:
    # More than a pipe holds: multiprocessing would wait for ever for somebody to read it.
    large = Bench(
        bench.checkpoint, ("x" * 1_000_000,), bench.candidates, bench.settings, OwnSettings()
    )
    with (
        executing(large, 2, partial(load, Mortal())) as executor,
        pytest.raises(RunError, match="--workers 1"),
    ):
        list(executor.map(die, range(4)))


ORPHANS = """
import time
from tests.runs.test_executors import *

def slow(bench, place):
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    dataset = open_data("embedded:8", seed=0)
    candidates = select(dataset, plan(Path()).filter, seed=0).candidates
    bench = Bench(load("embedded"), dataset.categories, candidates, Settings(), OwnSettings())
    with opened(bench, 2) as executor:
        list(executor.map(slow, range(4)))
"""


def test_workers_end_with_the_process_that_asks(tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    where = {**os.environ, "PYTHONPATH": paths, "TMPDIR": str(tmp_path)}
    asking = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=where
    )
    assert asking.stdout is not None
    workers = [int(asking.stdout.readline()) for _ in range(2)]
    asking.send_signal(signal.SIGKILL)
    asking.wait()
    asking.stdout.close()
    until = time.monotonic() + 30
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < until, "workers outlive the process that asked"
        time.sleep(0.1)
    assert not list(tmp_path.glob("retinoscope-*")), "what they were given is left behind"


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


TERMINATED = """
import sys
import time
from retinoscope.cli import main

@main.commands.command()
def slow() -> None:
    print("on", flush=True)
    time.sleep(600)

sys.argv = ["retinoscope", "slow"]
main.app()
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_what_is_kept(sent: signal.Signals) -> None:
    ending = subprocess.Popen(
        [sys.executable, "-c", TERMINATED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert ending.stdout is not None
    assert ending.stdout.readline() == "on\n"
    ending.send_signal(sent)
    _, told = ending.communicate(timeout=60)
    assert (ending.returncode, told.split(".")[0]) == (130, "Interrupted")


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
