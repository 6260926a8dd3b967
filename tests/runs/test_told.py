"""What is told of units that come in any order: whole stages, one after the other."""

from __future__ import annotations

from retinoscope.runs.measuring import _Stage, _Told
from retinoscope.runs.units import Measurement


class Listening:
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def stage(self, name: str, steps: int) -> None:
        self.told.append((name, 0))

    def step(self, done: int) -> None:
        self.told[-1] = (self.told[-1][0], done)

    def note(self, text: str) -> None:
        raise AssertionError(text)


def stage(name: str, missing: int, total: int) -> _Stage:
    return _Stage(name, total, [Measurement(name, place) for place in range(missing)])


def test_a_stage_is_over_when_its_last_unit_is_done() -> None:
    listening = Listening()
    stages = [stage("a", 2, 3), stage("none", 0, 0), stage("b", 2, 2), stage("there", 0, 4)]
    told = _Told(listening, stages, {})
    told.begin()
    for name, wanted in (
        ("a", [("a", 2)]),
        ("b", [("a", 2)]),
        ("a", [("a", 3), ("b", 1)]),
        ("b", [("a", 3), ("b", 2), ("there", 4)]),
    ):
        told.step(name)
        assert listening.told == wanted


def test_a_stage_that_stopped_is_not_waited_for() -> None:
    listening, stopped = Listening(), {}
    told = _Told(listening, [stage("a", 5, 5), stage("b", 1, 1)], stopped)
    told.begin()
    told.step("a")
    stopped["a"] = "why"
    told.step("a")
    told.step("b")
    assert listening.told == [("a", 2), ("b", 1)]
