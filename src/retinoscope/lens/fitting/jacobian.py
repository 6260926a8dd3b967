"""The Jacobian lens for some words: how an answer's logit changes with a visual state, on average.

A visual position never predicts a next token; what its state does for the answer is its Jacobian.
For each word one backward pass gives the gradient of its logit, where the answer names an object,
at every place and visual position; the mean over positions and images is the word's direction. It
is the Jacobian lens (Gurnee et al. 2026) restricted to words and to one target position.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from retinoscope.engine import Recording, gradient
from retinoscope.interventions import Site
from retinoscope.lens.fitting.example import Example
from retinoscope.lens.fitting.state import State


def begin(recording: Recording, words: Sequence[int]) -> State:
    """No image yet."""
    places, width = recording.layer_count + 1, recording.stream[0].shape[-1]
    return {
        "directions": torch.zeros(places, len(words), width, dtype=torch.float64),
        "mean": torch.zeros(places, width, dtype=torch.float64),
        "images": torch.zeros((), dtype=torch.long),
        "tokens": torch.tensor(words),
    }


def with_image(state: State, example: Example) -> State:
    """The sums with the gradients of one image more."""
    recording = example.answering
    visual, last = list(recording.layout.visual), recording.layer_count
    sites = [Site("resid_pre", layer) for layer in range(last)]
    found = {name: tensor.clone() for name, tensor in state.items()}
    for index, token in enumerate(state["tokens"].tolist()):
        slopes = gradient(recording, token, sites, positions=visual)
        means = torch.stack([slopes[site].double().cpu().mean(0) for site in sites])
        found["directions"][:last, index] += means
    found["mean"] += torch.stack([one[visual].double().cpu().mean(0) for one in recording.stream])
    found["images"] += 1
    return found


def finish(state: State, words: Sequence[int]) -> dict[str, Tensor]:
    """Directions less their mean over words; a state is read less the mean visual state.

    Behind the last layer no visual state reaches the answer: there are no directions.
    """
    directions = state["directions"] / state["images"]
    directions = directions - directions.mean(1, keepdim=True)
    mean = state["mean"] / state["images"]
    return {
        "tokens": state["tokens"],
        "directions": directions,
        "offsets": -(directions * mean[:, None]).sum(-1),
    }
