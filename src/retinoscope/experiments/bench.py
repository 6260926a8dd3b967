"""Bench: what every object of a run is measured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retinoscope.data.selection import Pair
from retinoscope.experiments.settings import Settings
from retinoscope.models import Checkpoint


@dataclass(frozen=True, eq=False)
class Bench:
    """What measuring any object needs.

    Attributes:
        checkpoint: the model, with its mean visual token.
        categories: class names by number.
        pairs: every candidate, for other images than the object's own.
        settings: what the experiments do.
    """

    checkpoint: Checkpoint
    categories: tuple[str, ...]
    pairs: Sequence[Pair]
    settings: Settings
