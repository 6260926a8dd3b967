"""What time and accidents do to a file, seeded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from retinoscope.errors import RetinoscopeError

Content = TypeVar("Content")


def damaged(content: bytes, seed: int, step: int = 1) -> Iterator[bytes]:
    """The content with a byte changed (each in turn), cut off, and with bytes lost or added."""
    drawn = np.random.default_rng(seed)
    masks = drawn.integers(1, 256, len(content)).tolist()
    for place, mask in list(enumerate(masks))[::step]:
        yield content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]
    for place in drawn.integers(0, len(content), 40).tolist():
        yield content[:place]
        yield content[:place] + content[place + 1 :]
        yield content[:place] + bytes([place % 256]) + content[place:]
        yield content[:place] + bytes(len(content) - place)
    yield content + b"\n"


def unnoticed(
    path: Path,
    read: Callable[[], Content],
    same: Callable[[Content], bool],
    seed: int,
    step: int = 1,
) -> tuple[int, int]:
    """Damages a file in every way and reads it; it is whole again afterwards.

    Args:
        path: the file.
        read: reads it, or raises one of our own errors.
        same: whether what was read is what was written.
        seed: of the damage.
        step: every how manieth byte is changed.

    Returns:
        How many damages were read as something else than was written (it must be none), and how
        many were noticed.
    """
    content = path.read_bytes()
    wrong = noticed = 0
    for other in damaged(content, seed, step):
        path.write_bytes(other)
        try:
            found = read()
        except RetinoscopeError:
            noticed += 1
        else:
            wrong += other != content and not same(found)
    path.write_bytes(content)
    assert same(read())
    return wrong, noticed
