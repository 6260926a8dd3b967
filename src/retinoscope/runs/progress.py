"""Progress: how a run tells whoever watches what is happening."""

from __future__ import annotations

import sys
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Watches a run: stages with a known number of steps."""

    def stage(self, name: str, steps: int) -> None:
        """A stage begins; the one before is over."""
        ...

    def step(self, done: int) -> None:
        """So many steps of the stage are done."""
        ...

    def note(self, text: str) -> None:
        """Something that whoever watches should know; the run goes on."""
        ...


class Scenes:
    """Tells of scenes that are composed, each collection of them as a stage of its own.

    Attributes:
        composed: whether there were any that were not in the cache.
    """

    def __init__(self, progress: Progress) -> None:
        """Nothing is composed yet."""
        self._progress, self.composed = progress, False

    def __call__(self, done: int, count: int) -> None:
        """So many of so many are there."""
        if done == 1:
            self._progress.stage("composing scenes", count)
        self._progress.step(done)
        self.composed = True


class Announced:
    """Says on the standard error which stage begins, so that a wait has its reason."""

    def stage(self, name: str, steps: int) -> None:
        """A line."""
        print(f"retinoscope: {name}, {steps:,} images; once, then it is cached", file=sys.stderr)

    def step(self, done: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """A line."""
        print(f"retinoscope: {text}", file=sys.stderr)


class Silent:
    """Watches and says nothing."""

    def stage(self, name: str, steps: int) -> None:
        """Nothing."""

    def step(self, done: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
