"""Bench: what every object of a run is measured with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        apart: the candidates of experiments that measure data of their own, by experiment; while
            one of them measures, they are the `candidates`.
    """

    checkpoint: Checkpoint
    categories: tuple[str, ...]
    candidates: Sequence[Candidate]
    settings: Settings
    own: Own
    apart: Mapping[str, Sequence[Candidate]] = field(default_factory=dict)

    def candidates_of(self, experiment: str) -> Sequence[Candidate]:
        """What an experiment measures: data of its own, or the run's."""
        return self.apart.get(experiment, self.candidates)
