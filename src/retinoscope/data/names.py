"""Names of classes, as they can be asked for, stored and shown."""

from __future__ import annotations


def checked_name(name: str) -> str:
    """A class name that something is called by.

    Raises:
        ValueError: it is empty, blank, or holds half of a surrogate pair, which is no character.
    """
    if not name.strip():
        raise ValueError(f"the name {name!r} is blank; name the class")
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise ValueError(f"the name {name!a} holds half of a surrogate pair; write it as UTF-8")
    return name
