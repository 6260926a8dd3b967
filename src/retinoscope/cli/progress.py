"""Progress in the terminal: a bar for each stage, or without a terminal a line for each."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SIGN_OF_LIFE = 60.0
"""Seconds after which a stage that goes on says so, where there are no bars."""


class Bars:
    """One bar for each stage of a run, with what is left; a context manager.

    Without a terminal (a log, a pipe) a line for each stage when it ends, with its time, and one a
    minute of a stage that goes on.
    """

    def __init__(self, console: Console) -> None:
        """Bars that will be drawn on a console."""
        self._bars = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage = ""
        self._steps = self._done = 0
        self._begun = self._told = time.monotonic()

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_stage()
        self._bars.stop()

    def stage(self, name: str, steps: int) -> None:
        """A new bar, in place of one that got ready for it and gives way before its first step."""
        if self._task is not None and self._stage and self._steps and not self._done:
            self._bars.remove_task(self._task)
        else:
            self._end_stage()
        self._task = self._bars.add_task(name, total=steps)
        self._stage, self._steps, self._done = name, steps, 0
        self._begun = self._told = time.monotonic()

    def step(self, done: int) -> None:
        """Move the newest bar."""
        if self._task is not None:
            self._bars.update(self._task, completed=done)
        self._done = done
        if time.monotonic() - self._told > SIGN_OF_LIFE and done < self._steps:
            self._told = time.monotonic()
            self._line("so far")

    def note(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(f"Note: {text}", markup=False, highlight=False, soft_wrap=True)

    def _end_stage(self) -> None:
        if self._stage:
            self._line("in all")
        self._stage = ""

    def _line(self, when: str) -> None:
        if self._bars.disable:
            seconds = time.monotonic() - self._begun
            text = f"{self._stage}: {self._done} of {self._steps}, {seconds:.0f} s {when}"
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
