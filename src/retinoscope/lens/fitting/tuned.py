"""The tuned lens: an affine map of each place, trained so that its words are the model's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.lens.fitting.example import Example
from retinoscope.lens.fitting.state import State

RATE, MOMENTUM, SCALE, LEAST = 1e-3, 0.9, 0.99, 1e-8
"""Adam's step and its decays; it is written out here so that all it knows is in the state."""

STEPS = 8
"""Steps on each image, each on positions of its own choice."""

POSITIONS = 48
"""Positions of a step."""


def begin(recording: Recording, words: Sequence[int]) -> State:
    """Nothing but the identity, whatever the words."""
    places, width = recording.layer_count + 1, recording.stream[0].shape[-1]
    shapes = {"matrices": (places, width, width), "biases": (places, width)}
    zeros = {name: torch.zeros(shape) for name, shape in shapes.items()}
    moments = {f"{name} {of}": torch.zeros(s) for name, s in shapes.items() for of in ("m", "v")}
    return zeros | moments | {"step": torch.zeros((), dtype=torch.long), "loss": torch.zeros(0)}


def with_text(state: State, example: Example) -> State:
    """The state after one image more, at text positions."""
    return _trained(state, example.recording, example.recording.layout.text)


def with_visual(state: State, example: Example) -> State:
    """The state after one image more, at visual positions."""
    return _trained(state, example.recording, example.recording.layout.visual)


def finish(state: State, words: Sequence[int]) -> dict[str, Tensor]:
    """The maps."""
    return {name: state[name] for name in ("matrices", "biases")}


def _trained(state: State, recording: Recording, positions: Sequence[int]) -> State:
    """STEPS of Adam on the mean over places of KL(the model's words there || the lens')."""
    known = dict(state)
    device = recording.stream[0].device
    generator = torch.Generator().manual_seed(int(state["step"]))
    losses = []
    for _ in range(STEPS):
        drawn = torch.randperm(len(positions), generator=generator)[:POSITIONS].tolist()
        chosen = [positions[index] for index in drawn]
        weights = {name: known[name].to(device).requires_grad_() for name in ("matrices", "biases")}
        with torch.enable_grad():
            loss = _divergence(recording, chosen, weights["matrices"], weights["biases"])
            slopes = torch.autograd.grad(loss, list(weights.values()))
        known["step"] = known["step"] + 1
        for (name, weight), slope in zip(weights.items(), slopes, strict=True):
            known |= _stepped(known, name, weight.detach().cpu(), slope.cpu())
        losses.append(loss.detach().cpu())
    known["loss"] = torch.cat([state["loss"], torch.stack(losses).mean()[None]])
    return known


def _divergence(
    recording: Recording,
    positions: Sequence[int],
    matrices: Float[Tensor, "places width width"],
    biases: Float[Tensor, "places width"],
) -> Float[Tensor, ""]:
    last = recording.layer_count
    with torch.no_grad():
        goal = recording.unembed(recording.stream[last][list(positions)]).float().log_softmax(-1)
    states = torch.stack([one[list(positions)] for one in recording.stream[:last]])
    moved = torch.einsum("lpw,lvw->lpv", states.float(), matrices[:last]) + biases[:last, None]
    found = recording.unembed((states.float() + moved).to(states)).float().log_softmax(-1)
    known = goal.exp() > 0
    each = torch.where(known, goal.exp() * (goal - found), torch.zeros_like(found))
    return each.sum(-1).mean()


def _stepped(state: State, name: str, weight: Tensor, slope: Tensor) -> dict[str, Tensor]:
    """One step of Adam (Kingma & Ba 2015, 1412.6980, algorithm 1)."""
    step = int(state["step"])
    first = MOMENTUM * state[f"{name} m"] + (1 - MOMENTUM) * slope
    second = SCALE * state[f"{name} v"] + (1 - SCALE) * slope * slope
    down = first / (1 - MOMENTUM**step) / ((second / (1 - SCALE**step)).sqrt() + LEAST)
    return {name: weight - RATE * down, f"{name} m": first, f"{name} v": second}
