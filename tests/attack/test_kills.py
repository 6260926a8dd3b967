"""Runs that are killed at random moments, and gone on with: nothing is lost, to the byte."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.attack.seeds import Report, forms
from tests.attack.sittings import Place, alive, begin, outcome, warm, workers_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]

RUN = (
    *("reproduce", "--data", "embedded:8", "--limit", "2", "--mean-count", "4"),
    *("--max-new-tokens", "8", "--experiments", "lens,knockout", "--workers"),
)

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
"""At a cold start all but the last, which Python answers with a traceback while it imports."""

MOST = 7
"""Kills of one run before it is gone on with to its end."""

TOGETHER = 2
"""Runs that are attacked at a time, each with a folder and a cache of its own."""

PATIENCE = 600
"""Seconds that a whole sitting may take on a busy machine."""

END = 120
"""Seconds after a signal within which a sitting must have ended, and its workers with it."""


@pytest.mark.parametrize("share", forms(short=0.03))
@pytest.mark.parametrize(
    ("workers", "kills", "cold"), [(1, 84, False), (2, 12, False), (1, 8, True)]
)
def test_a_run_that_is_killed_and_gone_on_with_is_the_same(
    tmp_path: Path,
    workers: int,
    kills: int,
    cold: bool,
    share: float,
    seed: int,
    report: Report,
) -> None:
    if share < 1 and (cold or workers > 1):
        pytest.skip("a start from nothing takes too long for the default run")
    drawn = np.random.default_rng([seed, workers, cold])
    arguments = [*RUN, str(workers)]
    warm()
    begun = time.monotonic()
    expected, whole = _undisturbed(Place(tmp_path / "whole"), arguments), time.monotonic() - begun
    told: Counter[str] = Counter()
    wanted = max(2, round(kills * share))

    def chain(number: int) -> None:
        """Kills of one run, until it is finished or there were enough, and then to its end."""
        place = Place(tmp_path / str(number))
        for _ in range(min(MOST, wanted - told.total())):
            wait = float(drawn.uniform(0.1, 0.5 * whole))
            name = _kill(place, arguments, wait, drawn, cold)
            if name is None:
                break
            told[name] += 1
        assert _gone_on_with(place, arguments) == expected

    finished = 0
    what = f"kills ({workers} worker{'s' * (workers > 1)}{', from a cold start' * cold})"
    try:
        with ThreadPoolExecutor(TOGETHER) as pool:
            while told.total() < wanted:
                for _ in pool.map(chain, range(finished, finished + TOGETHER)):
                    finished += 1
    finally:
        names = ", ".join(f"{count} {name}" for name, count in sorted(told.items()))
        report(what, told.total(), f"{names}; {finished} runs byte-equal")


def _undisturbed(place: Place, arguments: Sequence[str]) -> dict[str, str]:
    assert begin(place, arguments).ended(PATIENCE) == 0, place.said
    return outcome(place)


def _gone_on_with(place: Place, arguments: Sequence[str]) -> dict[str, str]:
    """What a run leaves that was killed, once the same command is given again."""
    for _ in range(2):
        # A mean's or scenes' lock, or a part, that a killed process left may be in nobody's way.
        status = begin(place, arguments).ended(PATIENCE)
        assert "Traceback" not in place.said, place.said
        if status == 0:
            return outcome(place)
    raise AssertionError(place.said)


def _kill(
    place: Place, arguments: Sequence[str], wait: float, drawn: np.random.Generator, cold: bool
) -> str | None:
    """One kill after so many seconds: what was sent to whom; None if it came too late."""
    sitting = begin(place, arguments, cold=cold)
    if (status := sitting.ended(wait)) is not None:
        assert status == 0, place.said
        return None
    sent = SIGNALS[int(drawn.integers(2 if cold else 3))]
    helping = workers_of(sitting.pid)
    if helping and drawn.random() < 0.4:
        victim, sent, who = helping[int(drawn.integers(len(helping)))], signal.SIGKILL, "a worker"
    else:
        victim, who = sitting.pid, "the run"
    with suppress(ProcessLookupError):
        os.kill(victim, sent)
    status = sitting.ended(END)
    assert status is not None, f"{sent.name} to {who} after {wait:.1f} s: it goes on\n{place.said}"
    _check_end(place, sent, who, status)
    until = time.monotonic() + END
    while any(map(alive, helping)):
        assert time.monotonic() < until, "workers outlive their run"
        time.sleep(0.1)
    return f"{sent.name} to {who}" if status else None


def _check_end(place: Place, sent: signal.Signals, who: str, status: int) -> None:
    """What was told, and the exit status, by what was sent to whom."""
    said = place.said
    assert "Traceback" not in said, said
    if status == 0:
        return  # it ended by itself before the signal came
    if who == "a worker":
        assert (status, "A worker process died" in said) == (2, True), said
    elif sent == signal.SIGKILL or not said:
        assert status == -sent, said
    else:
        assert (status, "Interrupted" in said) == (130, True), (status, said)
