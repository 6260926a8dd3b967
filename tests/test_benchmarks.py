"""The tools that are timed here do the same work: on every row, whole and in part."""

from __future__ import annotations

from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from benchmarks import measure, scaling, subject
from benchmarks.compare import agreement
from benchmarks.scaling import Done, steady
from benchmarks.subject import Size, Subject
from benchmarks.work import Work, works
from retinoscope.runs.executors.inline import Inline

TINY = Size(width=64, layers=4, heads=4, side=8, vocabulary=300)
TOOLS = ("hooks", "hand", "retinoscope")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("subject") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(subject.SIZES, "tiny", TINY)
        subject.make("tiny", folder)
    return subject.load(folder)


def outputs(made: Subject, work: Work, folder: Path) -> dict[str, Path]:
    found = {}
    for name in TOOLS:
        tool = import_module(f"benchmarks.tools.with_{name}").Tool(made)
        output, _ = measure._run(tool, work, list(work.changes), 0.02)
        found[name] = folder / f"{name}.safetensors"
        save_file({"output": output.float().contiguous()}, found[name])
    return found


@pytest.mark.parametrize("key", "abcdefghijk")
def test_every_tool_gives_what_plain_hooks_give(key: str, tiny: Subject, tmp_path: Path) -> None:
    work = works(tiny, tokens=4)[key]
    found = outputs(tiny, work, tmp_path)
    every = list(range(len(work.changes)))
    for name in ("hand", "retinoscope"):
        said = agreement(work.kind, found[name], every, found["hooks"], every)
        assert said["agrees"], (name, said)


def test_a_wrong_output_is_seen(tiny: Subject, tmp_path: Path) -> None:
    work = works(tiny, tokens=4)["a"]
    found = outputs(tiny, work, tmp_path)
    every = list(range(len(work.changes)))
    wrong = [*every[1:], 0]  # every row said to be of another condition
    said = agreement(work.kind, found["retinoscope"], wrong, found["hooks"], every)
    assert not said["agrees"]


def test_memory_and_lines_are_of_what_runs() -> None:
    def run() -> Any:
        return torch.empty(2**22)  # 16 MiB of float32

    assert 2**24 <= measure._allocated(run, "cpu") < 2**25
    assert measure._lines(__file__, run) == 1


def turns(worker: int, start: float, each: float, count: int) -> list[Done]:
    """A worker whose first unit takes its start too."""
    ends = [start + each * number for number in range(1, count + 1)]
    return [Done(worker, end - each, end) for end in ends]


def test_a_rate_is_of_the_time_in_which_all_work() -> None:
    one = steady(turns(1, 5, 0.5, 20), begun=2)
    assert one.each == pytest.approx(2) and one.start == pytest.approx(3.5)
    # Neither a late start nor a worker that is done early says anything of the rate.
    two = steady([*turns(1, 5, 0.5, 20), *turns(2, 9, 0.5, 30)], begun=2)
    assert two.each == pytest.approx(2) and two.start == pytest.approx(7.5)
    slow = steady([*turns(1, 5, 0.5, 40), *turns(2, 5, 1, 20)], begun=2)
    assert slow.each == pytest.approx(1.5, rel=0.05)
    with pytest.raises(ValueError, match="--units"):
        steady([*turns(1, 5, 0.5, 20), *turns(2, 40, 0.5, 20)], begun=2)


def test_scaling_is_measured_and_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(scaling, "processes", lambda bench, *_: nullcontext(Inline(bench)))
    scaling.main(4, ["processes"], [1])
    told = capsys.readouterr().out
    assert "| 1 processes |" in told and "100% |" in told
    assert "All within 10% of one alone." in told
    with pytest.raises(ValueError, match="Not all of 2 processes"):
        scaling.main(4, ["processes"], [2])
