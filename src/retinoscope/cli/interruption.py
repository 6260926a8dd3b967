"""What Ctrl-C leaves behind, and how a command tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
import typer.core

KEPT = "What was measured is kept; the same command resumes."


class Interruptible(typer.core.TyperGroup):
    """Says at Ctrl-C that it was heard, and what is kept, where typer would end without a word."""

    def invoke(self, ctx: Any) -> Any:
        """Carry out what is asked for; status 130 where it is interrupted."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interruption:
            kept = getattr(interruption, "__notes__", [])
            typer.echo(" ".join(["Interrupted.", *kept]), err=True)
            raise typer.Exit(130) from interruption


@contextmanager
def resumable(kept: str = KEPT) -> Iterator[None]:
    """Work of which an interruption leaves something to go on with.

    Args:
        kept: a sentence that says what, and how.
    """
    try:
        yield
    except KeyboardInterrupt as interruption:
        interruption.add_note(kept)
        raise
