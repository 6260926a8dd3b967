"""The pairs' own settings."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.ranges import check_whole


@dataclass(frozen=True)
class PairsSettings(OwnSettings):
    """How much of an image is measured.

    Attributes:
        most_pairs: pairs of objects of an image, each in both directions: those of one class come
            first, then overlapping ones.

    Raises:
        RunError: a setting is out of its range.
    """

    most_pairs: int = 3

    def __post_init__(self) -> None:
        check_whole("most_pairs", (self.most_pairs,), least=1)
