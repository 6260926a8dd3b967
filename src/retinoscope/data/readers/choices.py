"""Answers to choose from, in an order that gives nothing away."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def shuffled(choices: Iterable[str], key: str) -> tuple[str, ...]:
    """The choices in an order that depends on them and the key alone.

    Benchmarks that write the right one first would tell it otherwise.

    Args:
        choices: the answers.
        key: what belongs to the question, such as its image's name.
    """
    return tuple(
        sorted(choices, key=lambda text: hashlib.sha256(f"{key}\0{text}".encode()).digest())
    )
