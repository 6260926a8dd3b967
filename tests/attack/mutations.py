"""What an attacker, a bad disk or a bad editor makes of a file, drawn at random."""

from __future__ import annotations

import copy
import json
from typing import Any

from numpy.random import Generator

NUMBERS = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\0",
    b"\0\0\0\1",
    b"\xff\xff",
)
"""Lengths, offsets and counts that overflow, or are none."""

NAMES = (
    "",
    " \t",
    "\0",
    "a\0b",
    "\ud800",
    "\u202egnp.exe",
    "\u2028",
    "x" * 5_000,
    "\U0001f469\u200d\U0001f52c" * 40,
    "</script><script>window.owned=1</script>",
    "\"'><img src=x onerror=window.owned=1>",
    "[/red]",
    "[bold]",
    "=1+1",
    "{{ 7 * 7 }}",
    "%s%n",
    "../../etc/passwd",
    "C:\\a.png",
    "a.png/b",
    "CON",
)
"""Names of things, and texts, that break what takes them for something else."""

WILD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400),
    *(0.5, -0.0, 1e308, -1e308, 1e-320, float("nan"), float("inf"), -float("inf")),
    *NAMES,
    *([], {}, [[]], [None], {"": None}, [1, [2, [3]]], {"a": {"b": []}}),
)
"""Values of any type in place of any other."""

DEEP, LONG = 3_000, 100_000
"""Most levels of nested lists, and most letters of a text that is repeated."""

NESTED = "@nested@"
"""Stands for nested lists until the JSON is written: Python's own writer can't follow them."""


def mutated(content: bytes, drawn: Generator) -> bytes:
    """The content with one to three things done to its bytes."""
    for _ in range(int(drawn.integers(1, 4))):
        content = _once(content, drawn)
    return content


def _once(content: bytes, drawn: Generator) -> bytes:
    if not content:
        return drawn.bytes(int(drawn.integers(0, 64)))
    # Half of the time near the front, where headers are.
    reach = min(len(content), 256) if drawn.random() < 0.5 else len(content)
    at = int(drawn.integers(reach))
    size = int(drawn.integers(1, 33))
    match int(drawn.integers(9)):
        case 0:
            return (
                content[:at]
                + bytes([content[at] ^ (1 << int(drawn.integers(8)))])
                + content[at + 1 :]
            )
        case 1:
            return content[:at] + drawn.bytes(size) + content[at + size :]
        case 2:
            return content[:at]
        case 3:
            return content[:at] + content[at + size :]
        case 4:
            return content[:at] + drawn.bytes(size) + content[at:]
        case 5:
            number = NUMBERS[int(drawn.integers(len(NUMBERS)))]
            number = number[::-1] if drawn.random() < 0.5 else number
            return content[:at] + number + content[at + len(number) :]
        case 6:
            other = int(drawn.integers(len(content)))
            return content[:at] + content[other : other + 8 * size] + content[at:]
        case 7:
            return content[:at] + bytes(len(content) - at)
        case _:
            return content + content[at : at + size]


def mutated_json(values: Any, drawn: Generator) -> bytes:
    """Values with one to three of them changed, as JSON; sometimes its bytes are changed too."""
    values = copy.deepcopy(values)
    for _ in range(int(drawn.integers(1, 4))):
        values = _changed(values, drawn)
    text = json.dumps(values, ensure_ascii=bool(drawn.random() < 0.5))
    levels = int(drawn.integers(1, DEEP))
    text = text.replace(json.dumps(NESTED), "[" * levels + "]" * levels)
    content = text.encode("utf-8", "surrogatepass")
    return mutated(content, drawn) if drawn.random() < 0.2 else content


def _changed(values: Any, drawn: Generator) -> Any:
    """Walks down at random, and changes what it comes to."""
    inner = isinstance(values, dict | list) and len(values) > 0
    if not inner or drawn.random() < 0.15:
        return _instead(values, drawn)
    keys: list[Any] = list(values) if isinstance(values, dict) else list(range(len(values)))
    key = keys[int(drawn.integers(len(keys)))]
    match int(drawn.integers(10)):
        case 0:
            del values[key]
        case 1 if isinstance(values, list):
            values.append(copy.deepcopy(values[key]))
        case 1:
            values[NAMES[int(drawn.integers(len(NAMES)))]] = values[key]
        case _:
            values[key] = _changed(values[key], drawn)
    return values


def _instead(values: Any, drawn: Generator) -> Any:
    """Something else in place of a value."""
    match int(drawn.integers(14)):
        case 0:
            return NESTED
        case 1:
            return [values] * int(drawn.integers(2, 5))
        case 2 if isinstance(values, str):
            return values * (int(drawn.integers(2, LONG)) // max(1, len(values)))
        case 2 if isinstance(values, int | float):
            return -values
        case 3:
            return str(values)
        case 4:
            return {"x": values}
        case _:
            return copy.deepcopy(WILD[int(drawn.integers(len(WILD)))])
