"""Progress bars in the terminal."""

from __future__ import annotations

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


class Bars:
    """One bar for each stage of a run, with what is left; a context manager."""

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
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, steps: int) -> None:
        """A new bar."""
        self._task = self._bars.add_task(name, total=steps)

    def step(self, done: int) -> None:
        """Move the newest bar."""
        if self._task is not None:
            self._bars.update(self._task, completed=done)

    def note(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(f"Note: {text}", markup=False, highlight=False)
