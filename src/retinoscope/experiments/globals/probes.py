"""Probes of whole images: which classes an image holds, and its theme, read off one state.

What the lens can't read may still be there for a linear map to find. Ridge regression from the mean
state of far background patches, and from the last position's, fitted on images that are not
measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.data import Sample, load_image
from retinoscope.engine import Recording, look
from retinoscope.errors import SampleError, SelectionError, TokenMapError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.globals.reading import class_names, far
from retinoscope.experiments.globals.themes import theme_in
from retinoscope.experiments.objects import Scene, scene_of
from retinoscope.experiments.once import OnceForRun
from retinoscope.results.own_settings import OwnSettings
from retinoscope.tasks.describe import QUESTION

IMAGES = 100
"""Images that probes are fitted on, at most half of the run's candidates."""

RIDGE = 0.1
"""The penalty, as a share of the mean variance of a dimension times the number of images."""

LEAST = 6
"""Images below which nothing is fitted."""

ASKED = ("class", "theme")
PLACES = ("far background", "last position")
"""Where a probe reads: the mean of those patches' states, or that state."""

States = Mapping[str, Float[Tensor, "places width"]]
"""By where it is read the state at every place of the residual stream."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear map from a state to one score for each name, at every place.

    Attributes:
        names: what it tells apart, such as the classes.
        weights: of centred states.
        mean: of the states.
        base: of the scores: how frequent each name is.
    """

    names: tuple[str, ...]
    weights: Float[Tensor, "places width names"]
    mean: Float[Tensor, "places width"]
    base: Float[Tensor, " names"]

    def first(self, states: Float[Tensor, "places width"]) -> list[str]:
        """The name that scores highest, at every place."""
        centred = states.double().cpu() - self.mean
        scores = torch.einsum("pw,pwn->pn", centred, self.weights) + self.base
        return [self.names[i] for i in scores.argmax(-1).tolist()]


@dataclass(frozen=True, eq=False)
class Probes:
    """All probes of a run.

    Attributes:
        found: by (what is asked, where it is read); one that could not be fitted is missing.
        images: ids of the images that they were fitted on.
    """

    found: Mapping[tuple[str, str], Probe]
    images: frozenset[int]


def states_of(recording: Recording, scene: Scene) -> States:
    """What the probes read of an image; far background is missing where there is none."""
    stream = torch.stack([recording.residual(at) for at in range(recording.layer_count + 1)])
    found = {"last position": stream[:, recording.length - 1]}
    away = sorted(far(scene))
    if away:
        found["far background"] = stream[:, away].mean(1)
    return {name: state.float().cpu() for name, state in found.items()}


def labels_of(sample: Sample, pixels: np.ndarray) -> Mapping[str, frozenset[str]]:
    """What is right of an image: its classes; its theme, where the data have one."""
    theme = theme_in(sample, pixels)
    themes = frozenset() if theme is None else frozenset([theme])
    return {"class": frozenset(class_names(sample)), "theme": themes}


def fitted(
    states: Sequence[Float[Tensor, "places width"]], labels: Sequence[frozenset[str]]
) -> Probe | None:
    """Ridge regression of what is right, 1, and what is not, 0; None of fewer than LEAST images.

    Args:
        states: of each image.
        labels: of each; images without any are left out.
    """
    known = [(state, some) for state, some in zip(states, labels, strict=True) if some]
    if len(known) < LEAST:
        return None
    names = sorted(Counter(name for _, some in known for name in some))
    inputs = torch.stack([state for state, _ in known]).double()
    right = torch.tensor([[float(n in some) for n in names] for _, some in known]).double()
    mean, base = inputs.mean(0), right.mean(0)
    centred = (inputs - mean).transpose(0, 1)
    spread = centred.transpose(1, 2) @ centred
    size = torch.diagonal(spread, dim1=1, dim2=2).mean(-1).clamp_min(1e-12)
    penalty = RIDGE * size[:, None, None] * torch.eye(spread.shape[-1]).double()
    weights = torch.linalg.solve(spread + penalty, centred.transpose(1, 2) @ (right - base))
    return Probe(tuple(names), weights, mean, base)


def _fitted(bench: Bench[OwnSettings]) -> Probes:
    samples = list({sample.image_id: sample for sample, _ in bench.candidates}.values())
    kept = samples[len(samples) - min(IMAGES, len(samples) // 2) :]
    seen: list[tuple[States, Mapping[str, frozenset[str]]]] = []
    for sample in kept:
        try:
            image = load_image(sample)
            recording = look(bench.checkpoint, image, QUESTION)
            scene, _ = scene_of(recording, sample, bench.settings)
        except (SampleError, SelectionError, TokenMapError):
            continue
        if scene.things:
            seen.append((states_of(recording, scene), labels_of(sample, np.array(image))))
    found: dict[tuple[str, str], Probe] = {}
    for asked in ASKED:
        for place in PLACES:
            able = [(states[place], right[asked]) for states, right in seen if place in states]
            probe = fitted([state for state, _ in able], [right for _, right in able])
            if probe is not None:
                found[asked, place] = probe
    return Probes(found, frozenset(sample.image_id for sample in kept))


probes = OnceForRun("globals-probes", _fitted)
"""The probes of a run; the last of its candidates' images are kept for them."""
