"""Seeds that are told, so that what was found can be found again, and what was done is counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Report = Callable[[str, int, str], None]
"""Told what was attacked, how often, and what came of it; the summary shows it with the seed."""

VARIABLE = "RETINOSCOPE_SEED"
"""The environment variable that sets the seed of `make attack`."""


def forms(short: float) -> list[object]:
    """The two forms of an attack, as shares of its size: the default run's, and `make attack`.

    Args:
        short: the share that is done in the default run.
    """
    return [
        pytest.param(short, id="short"),
        pytest.param(1.0, id="full", marks=pytest.mark.attack),
    ]
