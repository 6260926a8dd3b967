"""Settings: every number that shapes the experiments' results, in one frozen place."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from retinoscope.errors import RunError
from retinoscope.results.protocol import MENDED, PAPER, Protocol
from retinoscope.results.records import TASKS
from retinoscope.shipped import is_shipped

VALUES = ("mean", "zero", "noise", "resampled")
"""What can stand in ablated tokens' place."""

SWEEPS = ("layer", "head")
"""What knockouts can be swept over."""


@dataclass(frozen=True)
class Settings:
    """What the experiments do; a run records it, and belongs to it.

    Attributes:
        overlap: share of a patch that a mask must exceed for the patch to be the object's.
        buffers: buffers around the object, in patches (paper: 0, 1 and 2).
        sizes: n of the random and gradient selections (paper: 5 to 250); those over the number of
            an image's visual tokens don't exist there.
        register_deviations: register tokens have a norm above mean + this many standard
            deviations of the image's visual tokens (paper, section 3.1).
        values: what stands in ablated tokens' place; the first is used with every selection, the
            others with the object and its matched random sets.
        max_new_tokens: most tokens of a description (the original: 200). One that names the object
            ends there, so that most are much shorter.
        gradient_nodes: most path points of integrated gradients.
        gradient_tolerance: completeness gap at which integrated gradients stop, as a share of the
            difference that they explain.
        tasks: which tasks to run.
        sweeps: "layer" and "head": knockouts of object+1 -> last position at every single layer,
            and at every single head of every layer; () for neither.
        seed: every random choice follows from it and from the object's id.
        protocol: which choices of the original code are repeated; none by default.

    Raises:
        RunError: a setting is out of its range; what is wrong with all objects is never taken for
            something wrong with one.
    """

    overlap: float = 0.0
    buffers: tuple[int, ...] = (0, 1, 2)
    sizes: tuple[int, ...] = (5, 10, 20, 40, 60, 100, 250)
    register_deviations: float = 2.0
    values: tuple[str, ...] = VALUES
    max_new_tokens: int = 200
    gradient_nodes: int = 13
    gradient_tolerance: float = 0.05
    tasks: tuple[str, ...] = TASKS
    sweeps: tuple[str, ...] = SWEEPS
    seed: int = 0
    protocol: Protocol = MENDED

    def __post_init__(self) -> None:
        # Imported here: what is declared is read without torch, what is measured is not.
        from retinoscope.attribution.quadrature import FIRST, points
        from retinoscope.tasks import tasks

        _check_number("overlap", self.overlap, lambda share: 0 <= share < 1, "from 0 to under 1")
        _check_whole("buffers", self.buffers, least=0)
        _check_whole("sizes", self.sizes, least=1, some=False)
        _check_number("register_deviations", self.register_deviations, math.isfinite, "finite")
        _check_names("values", self.values, VALUES)
        _check_whole("max_new_tokens", (self.max_new_tokens,), least=1)
        _check_whole("gradient_nodes", (self.gradient_nodes,), least=len(points(FIRST)))
        tolerance = self.gradient_tolerance
        _check_number("gradient_tolerance", tolerance, lambda gap: 0 < gap < math.inf, "above 0")
        _check_names("tasks", self.tasks, tuple(tasks()))
        _check_names("sweeps", self.sweeps, SWEEPS, some=False)
        _check_whole("seed", (self.seed,), least=0)
        switches = [getattr(self.protocol, field.name, None) for field in fields(Protocol)]
        if not all(isinstance(switch, bool) for switch in switches):
            raise RunError(f"protocol is a Protocol of True and False; got {self.protocol!r}.")


def _check_number(name: str, value: Any, holds: Callable[[float], bool], expected: str) -> None:
    if not (isinstance(value, int | float) and holds(value)):
        raise RunError(f"{name} is a number, {expected}; got {value!r}.")


def _check_whole(name: str, values: Any, least: int, *, some: bool = True) -> None:
    """A tuple of distinct whole numbers; an empty one only where there need not be some."""
    good = isinstance(values, tuple) and all(
        isinstance(value, int) and not isinstance(value, bool) and value >= least
        for value in values
    )
    if not good or len({*values}) < len(values) or (some and not values):
        many = "at least one" if some else "any number"
        raise RunError(
            f"{name}: expected {many} of different whole numbers from {least}, got {values!r}."
        )


def _check_names(name: str, values: Any, known: Sequence[str], *, some: bool = True) -> None:
    """A tuple of distinct known names; an empty one only where there need not be some."""
    good = isinstance(values, tuple) and all(value in known for value in values)
    if not good or len({*values}) < len(values) or (some and not values):
        many = "at least one" if some else "any"
        raise RunError(
            f"{name}: expected a tuple of {many} of {', '.join(known)}, each once; got {values!r}."
        )


def settings_for(model: str, protocol: Protocol = MENDED) -> Settings:
    """The settings that suit a model and a protocol.

    The embedded models are done with every scene within 30 tokens. Integrated gradients for the
    original's BOS target take up to 129 points, where 13 (and its own 50) are too few to converge;
    fewer are taken where fewer are enough.

    Args:
        model: the model's name; "embedded" and "embedded/NAME" are the embedded ones.
        protocol: which choices of the original code are repeated.
    """
    short = is_shipped(model) and protocol != PAPER
    return Settings(
        max_new_tokens=30 if short else 200,
        gradient_nodes=129 if protocol.gradient_of_bos else 13,
        protocol=protocol,
    )


def buffer_name(buffer: int) -> str:
    """The selection of an object with a buffer in patches: "object", "object+1", ..."""
    return "object" if buffer == 0 else f"object+{buffer}"
