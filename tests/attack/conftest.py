"""The seed of an attack, fresh in `make attack`, and the summary of what was attacked."""

from __future__ import annotations

import os
import time

import pytest

from tests.attack.seeds import VARIABLE, Report


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """0 in the default run; in `make attack` the variable's, else another one each time."""
    if request.node.get_closest_marker("attack") is None:
        return 0
    return int(os.environ.get(VARIABLE) or time.time())


@pytest.fixture
def report(request: pytest.FixtureRequest, seed: int) -> Report:
    """Keeps what was done for the summary."""

    def tell(what: str, tries: int, outcome: str) -> None:
        request.node.user_properties.append(("attack", (what, tries, outcome, seed)))

    print(f"seed {seed}; the same again: {VARIABLE}={seed} make attack")
    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for everything that was attacked, with its number and seed."""
    told = [
        value
        for found in terminalreporter.stats.values()
        for one in found
        if getattr(one, "when", "") == "call"
        for name, value in one.user_properties
        if name == "attack"
    ]
    if told:
        terminalreporter.section("attacked")
    for what, tries, outcome, seed in told:
        terminalreporter.write_line(f"{tries:6,} {what}: {outcome} (seed {seed})")
