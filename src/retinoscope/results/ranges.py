"""Ranges: settings are checked where they enter, by name, with what was expected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from retinoscope.errors import RunError


def check_number(name: str, value: Any, holds: Callable[[float], bool], expected: str) -> None:
    """Make sure that a setting is a number of some range.

    Args:
        name: the setting.
        value: what was given.
        holds: whether a number is in the range.
        expected: the range in words.

    Raises:
        RunError: it isn't.
    """
    if not (isinstance(value, int | float) and holds(value)):
        raise RunError(f"{name} is a number, {expected}; got {value!r}.")


def check_whole(name: str, values: Any, least: int, *, some: bool = True) -> None:
    """Make sure that a setting is a tuple of distinct whole numbers.

    Args:
        name: the setting.
        values: what was given.
        least: the smallest number allowed.
        some: an empty tuple is refused.

    Raises:
        RunError: it isn't.
    """
    good = isinstance(values, tuple) and all(
        isinstance(value, int) and not isinstance(value, bool) and value >= least
        for value in values
    )
    if not good or len({*values}) < len(values) or (some and not values):
        many = "at least one" if some else "any number"
        raise RunError(
            f"{name}: expected {many} of different whole numbers from {least}, got {values!r}."
        )


def check_names(name: str, values: Any, known: Sequence[str], *, some: bool = True) -> None:
    """Make sure that a setting is a tuple of distinct known names.

    Args:
        name: the setting.
        values: what was given.
        known: the names allowed.
        some: an empty tuple is refused.

    Raises:
        RunError: it isn't.
    """
    good = isinstance(values, tuple) and all(value in known for value in values)
    if not good or len({*values}) < len(values) or (some and not values):
        many = "at least one" if some else "any"
        raise RunError(
            f"{name}: expected a tuple of {many} of {', '.join(known)}, each once; got {values!r}."
        )
