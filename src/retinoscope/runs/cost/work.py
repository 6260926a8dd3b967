"""Work: what each experiment asks of a model for one object, counted on the embedded model.

`work.json` is counted, not timed, by `python -m benchmarks.count` on objects of the embedded
scenes: floating-point operations, as a multiple of one pass of the language model over the prompt;
passes over its layers, however small; and steps, passes of one token, by which descriptions grow.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import msgspec

COUNTED_TOKENS = 30
"""Most tokens of a description where the work was counted."""


@dataclass(frozen=True)
class Work:
    """The work of one unit: one object by one experiment, or curated.

    Attributes:
        forwards: floating-point operations, in passes of the language model over the prompt.
        passes: over the layers, those of steps aside.
        steps: passes of one token.
        rows: records.
        part_bytes: of the parts that they are kept in.
        parts: number of parts.
    """

    forwards: float
    passes: float
    steps: float
    rows: float = 1
    part_bytes: float = 4000
    parts: float = 1


@functools.cache
def counted() -> Mapping[str, Work]:
    """The work of "curation" and of every experiment that was counted, by name."""
    text = files("retinoscope.runs.cost").joinpath("work.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Work])
