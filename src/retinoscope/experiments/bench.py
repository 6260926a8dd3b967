"""Bench: what every object of a run is measured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from retinoscope.data.selection import Candidate
from retinoscope.experiments.settings import Settings
from retinoscope.models import Checkpoint
from retinoscope.results.own_settings import Own


@dataclass(frozen=True, eq=False)
class Bench(Generic[Own]):
    """What measuring any object needs.

    Attributes:
        checkpoint: the model, with its mean visual token.
        categories: class names by number.
        candidates: every candidate, for other images than the object's own.
        settings: what all experiments share.
        own: the experiment's own settings, of the class that its `Experiment` names.
    """

    checkpoint: Checkpoint
    categories: tuple[str, ...]
    candidates: Sequence[Candidate]
    settings: Settings
    own: Own
