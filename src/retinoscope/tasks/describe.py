"""Describe: does a free description of the image name the object?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retinoscope.tasks.query import Query
from retinoscope.tasks.task import Asked, Task

QUESTION = "Describe this image."
"""The paper's prompt (section 3.1)."""


def describe(class_name: str) -> Query:
    """The query whose text is right where it names the class."""
    return Query("describe", class_name, QUESTION, written=True)


def _queries(asked: Asked, tokenizer: Any, *, always_a: bool) -> Sequence[Query]:
    return (describe(asked.class_name),)


TASK = Task("describe", _queries, written=True, place=1)
