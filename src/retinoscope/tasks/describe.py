"""Describe: does a free description of the image name the object?"""

from __future__ import annotations

from retinoscope.tasks.query import Query

QUESTION = "Describe this image."
"""The paper's prompt (section 3.1)."""


def describe(class_name: str) -> Query:
    """The query whose text is right where it names the class."""
    return Query("describe", class_name, QUESTION)
