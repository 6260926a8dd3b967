"""Bench: what every object of a run is measured with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic

from jaxtyping import Float
from torch import Tensor

from retinoscope.data import Sample
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
        mean_images: the images that the mean visual token is to be measured over.
        shared: a folder that all processes of this run on this machine share while it goes on; None
            where this one is alone.
    """

    checkpoint: Checkpoint
    categories: tuple[str, ...]
    candidates: Sequence[Candidate]
    settings: Settings
    own: Own
    apart: Mapping[str, Sequence[Candidate]] = field(default_factory=dict)
    mean_images: Sequence[Sample] = ()
    shared: Path | None = None

    def with_mean(self, mean: Float[Tensor, "*positions width"]) -> Bench[Own]:
        """The bench with a mean visual token, on the model's device."""
        own = mean.to(self.checkpoint.device)
        return replace(self, checkpoint=replace(self.checkpoint, mean=own))

    def candidates_of(self, experiment: str) -> Sequence[Candidate]:
        """What an experiment measures: data of its own, or the run's."""
        return self.apart.get(experiment, self.candidates)
