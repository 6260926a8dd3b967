"""Read JSON files entry by entry; a missing or odd field is named with its file and entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retinoscope.data.reading import LARGEST_ID, parse_json
from retinoscope.errors import DataError


@dataclass(frozen=True)
class Entry:
    """One JSON object of a file.

    Attributes:
        path: the file.
        where: which entry it is, for messages ("question 12").
        values: its fields.
    """

    path: Path
    where: str
    values: Mapping[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        """A text; without default it must be there.

        Raises:
            DataError: the field is missing or no text.
        """
        value = self._get(name, default)
        return value if isinstance(value, str) else self._refuse(name, value, "text")

    def number(self, name: str) -> float:
        """A number that must be there.

        Raises:
            DataError: the field is missing or no number.
        """
        value = self._get(name, None)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._refuse(name, value, "a number")
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number, also as text; without default it must be there.

        Raises:
            DataError: the field is missing or no whole number.
        """
        value = self._get(name, default)
        try:
            if isinstance(value, bool | float) or not abs(int(value)) <= LARGEST_ID:
                raise ValueError
            return int(value)
        except (TypeError, ValueError):
            return self._refuse(name, value, "a whole number")

    def listed(self, name: str, default: list[Any] | None = None) -> list[Any]:
        """A list; without default it must be there.

        Raises:
            DataError: the field is missing or no list.
        """
        value = self._get(name, default)
        return value if isinstance(value, list) else self._refuse(name, value, "a list")

    def entry(self, name: str, default: Mapping[str, Any] | None = None) -> Entry:
        """An object; without default it must be there.

        Raises:
            DataError: the field is missing or no object.
        """
        value = self._get(name, default)
        if not isinstance(value, Mapping):
            return self._refuse(name, value, "an object")
        return Entry(self.path, f"{self.where}, {name}", value)

    def entries(self, name: str, default: list[Any] | None = None) -> list[Entry]:
        """A list of objects; without default it must be there.

        Raises:
            DataError: the field is missing or no list of objects.
        """
        return [
            as_entry(self.path, f"{self.where}, {name}[{i}]", value)
            for i, value in enumerate(self.listed(name, default))
        ]

    def rest(self, *known: str) -> dict[str, Any]:
        """The fields that are not among the known ones."""
        return {name: value for name, value in self.values.items() if name not in known}

    def _get(self, name: str, default: Any) -> Any:
        if name in self.values:
            return self.values[name]
        if default is None:
            given = ", ".join(map(str, self.values)) or "none"
            raise DataError(
                f"{self.path}: {self.where} has no field {name!r}, only: {given}. Give the file "
                "as it is published."
            )
        return default

    def _refuse(self, name: str, value: Any, expected: str) -> Any:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise DataError(
            f"{self.path}: {self.where}, field {name!r} is {shown}; expected {expected}. Give the "
            "file as it is published."
        )


def as_entry(path: Path, where: str, value: Any) -> Entry:
    """A JSON object as an entry.

    Raises:
        DataError: the value is none.
    """
    if not isinstance(value, Mapping):
        raise DataError(f"{path}: {where} is a {type(value).__name__}; expected an object.")
    return Entry(path, where, value)


def read_lines(path: Path) -> Iterator[Entry]:
    """A file of one JSON object a line; empty lines are passed over.

    Raises:
        DataError: the file can't be read, or a line is broken or no object.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read ({error}). Check the path.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            raise DataError(f"{path}: line {number} is not JSON ({error}).") from error
        yield as_entry(path, f"line {number}", value)
