"""Progress: how a run tells whoever watches what is happening."""

from __future__ import annotations

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


class Silent:
    """Watches and says nothing."""

    def stage(self, name: str, steps: int) -> None:
        """Nothing."""

    def step(self, done: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
