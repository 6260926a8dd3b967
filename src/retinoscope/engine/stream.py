"""The residual stream under a condition, from one full forward pass of the model."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.checks import Checked
from retinoscope.engine.full import intervening
from retinoscope.engine.recording import Recording
from retinoscope.engine.room import keeping
from retinoscope.interventions import Condition, Site, as_condition
from retinoscope.interventions.edits import place_site


@torch.no_grad()
def changed_stream(
    recording: Recording, condition: Condition
) -> tuple[Float[Tensor, "positions width"], ...]:
    """The raw residual stream at every place, 0 to the number of layers, under a condition.

    Args:
        recording: the clean run; the empty condition gives its own stream.
        condition: the interventions in force together.

    Raises:
        InterventionError: an intervention can't be applied here, or did not take effect.
    """
    condition = as_condition(condition)
    if not condition:
        return recording.stream
    checkpoint, inputs = recording.checkpoint, recording.encoded.inputs
    edits = Checked(recording).edits(condition)
    sites = [place_site(place, recording) for place in range(recording.layer_count + 1)]
    states: dict[Site, Tensor] = {}

    def see(site: Site, state: Tensor) -> Tensor:
        states[site] = state.reshape(-1, *state.shape[-2:])[0, : recording.length]
        return state

    with intervening(recording, edits, sites, see):
        checkpoint.model(**inputs, **keeping(checkpoint.model, 1), use_cache=False)
    return tuple(states[site] for site in sites)
