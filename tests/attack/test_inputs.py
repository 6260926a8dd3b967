"""Mutated files of every kind: each is read, or refused by one of our own errors, and in time."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retinoscope.errors import RetinoscopeError
from tests.attack.bounded import Hang, bounded
from tests.attack.findings import Findings
from tests.attack.mutations import mutated, mutated_json
from tests.attack.seeds import Report, forms
from tests.attack.target import Target
from tests.attack.targets import TARGETS


@pytest.mark.parametrize("share", forms(short=0.05))
@pytest.mark.parametrize("name", TARGETS)
def test_mutated_files_are_read_or_refused(
    tmp_path: Path, name: str, share: float, seed: int, report: Report
) -> None:
    count, make = TARGETS[name]
    drawn = np.random.default_rng([seed, *name.encode()])
    target = make(tmp_path)
    for whole in target.whole:
        target.read(_written(whole, lambda one: json.dumps(one).encode(), bytes))
    tries = max(8, round(count * share))
    refused, found = 0, Findings(tmp_path)
    for _ in range(tries):
        content = _damaged(target, drawn)
        try:
            with bounded(), warnings.catch_warnings():
                # Pillow warns of what it passes over; that is no error.
                warnings.simplefilter("ignore")
                target.read(content)
        except RetinoscopeError as error:
            assert str(error)
            refused += 1
        except (Exception, Hang) as error:
            found.keep(error, content)
    report(f"mutated {name}", tries, f"{refused} refused, {tries - refused} read")
    assert not found.kinds, found.told
    assert refused, "not one was so damaged that it was noticed"


def _damaged(target: Target, drawn: np.random.Generator) -> bytes:
    whole = target.whole[int(drawn.integers(len(target.whole)))]
    return _written(whole, lambda one: mutated_json(one, drawn), lambda one: mutated(one, drawn))


def _written(
    whole: Any, values: Callable[[Any], bytes], content: Callable[[bytes], bytes]
) -> bytes:
    """An example as bytes, its name in a line before it where it has one."""
    if isinstance(whole, tuple):
        name, one = whole
        return name.encode() + b"\n" + _written(one, values, content)
    return content(whole) if isinstance(whole, bytes) else values(whole)
