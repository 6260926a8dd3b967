"""Settings: what is the same for every experiment of a run, in one frozen place.

What one experiment alone can be told are its own settings, in its folder
(`retinoscope.results.own_settings`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from retinoscope.errors import RunError
from retinoscope.results.protocol import CORRECTED, PAPER, Protocol
from retinoscope.results.ranges import check_names, check_number, check_whole
from retinoscope.results.records import TASKS
from retinoscope.shipped import is_shipped

VALUES = ("mean", "zero", "noise", "resampled")
"""What can stand in ablated tokens' place."""


@dataclass(frozen=True)
class Settings:
    """What every experiment of a run shares; the run records it, and belongs to it.

    Attributes:
        overlap: share of a patch that a mask must exceed for the patch to be the object's.
        buffers: buffers around the object, in patches (paper: 0, 1 and 2).
        values: what stands in ablated tokens' place; the first is used with every selection, the
            others with the object and its matched random sets.
        max_new_tokens: most tokens of a description (the original: 200). One that names the object
            ends there, so that most are much shorter.
        tasks: which tasks to run.
        seed: every random choice follows from it and from the object's id.
        protocol: which choices of the original code are repeated; none by default.

    Raises:
        RunError: a setting is out of its range; what is wrong with all objects is never taken for
            something wrong with one.
    """

    overlap: float = 0.0
    buffers: tuple[int, ...] = (0, 1, 2)
    values: tuple[str, ...] = VALUES
    max_new_tokens: int = 200
    tasks: tuple[str, ...] = TASKS
    seed: int = 0
    protocol: Protocol = CORRECTED

    def __post_init__(self) -> None:
        # Imported here: what is declared is read without torch, what is measured is not.
        from retinoscope.tasks import tasks

        check_number("overlap", self.overlap, lambda share: 0 <= share < 1, "from 0 to under 1")
        check_whole("buffers", self.buffers, least=0)
        check_names("values", self.values, VALUES)
        check_whole("max_new_tokens", (self.max_new_tokens,), least=1)
        check_names("tasks", self.tasks, tuple(tasks()))
        check_whole("seed", (self.seed,), least=0)
        switches = [getattr(self.protocol, field.name, None) for field in fields(Protocol)]
        if not all(isinstance(switch, bool) for switch in switches):
            raise RunError(f"protocol is a Protocol of True and False; got {self.protocol!r}.")


def settings_for(model: str, protocol: Protocol = CORRECTED) -> Settings:
    """The settings that suit a model and a protocol.

    The embedded models are done with every scene within 30 tokens.

    Args:
        model: the model's name; "embedded" and "embedded/NAME" are the embedded ones.
        protocol: which choices of the original code are repeated.
    """
    short = is_shipped(model) and protocol != PAPER
    return Settings(max_new_tokens=30 if short else 200, protocol=protocol)


def buffer_name(buffer: int) -> str:
    """The selection of an object with a buffer in patches: "object", "object+1", ..."""
    return "object" if buffer == 0 else f"object+{buffer}"
