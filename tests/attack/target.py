"""Something that is read from files of anybody's: whole examples, and how one is read through."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """Something that is read.

    Attributes:
        whole: examples: bytes, or JSON values; of a folder's files, each with its name.
        read: reads one through, or raises one of our own errors; of a folder's files it is given
            the name in a line before the content.
    """

    whole: Sequence[Any]
    read: Callable[[bytes], object]


def values(name: str, content: bytes) -> Any:
    """A file's content, as values where it is JSON; several values, one a line, are not."""
    try:
        return json.loads(content) if name.endswith(".json") else content
    except ValueError:
        return content
