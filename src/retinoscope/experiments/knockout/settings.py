"""The knockouts' own settings."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.ranges import check_names

SWEEPS = ("layer", "head")
"""What knockouts can be swept over."""


@dataclass(frozen=True)
class KnockoutSettings(OwnSettings):
    """What is knocked out beside the paper's windows of layers.

    Attributes:
        sweeps: "layer" and "head": knockouts of object+1 -> last position at every single layer,
            and at every single head of every layer; () for neither.

    Raises:
        RunError: an unknown sweep, or one twice.
    """

    sweeps: tuple[str, ...] = SWEEPS

    def __post_init__(self) -> None:
        check_names("sweeps", self.sweeps, SWEEPS, some=False)
