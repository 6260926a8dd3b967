"""Pushes: object patches moved against a lens' direction for a word, and in random directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.interventions import Condition, Steer
from retinoscope.interventions.ablate import matched_noise
from retinoscope.lens import StateLens

STRENGTH = 0.5
"""How far a patch is pushed, as a share of its state's norm."""

DRAWS = 3
"""Random directions of the same size, the control."""


@dataclass(frozen=True, eq=False)
class Push:
    """One push, with what LensCauseRecord says of it."""

    lens: str
    place: int
    draw: int
    condition: Condition


def places(recording: Recording) -> tuple[int, ...]:
    """Where patches are pushed: a quarter of the way up, and half of it."""
    count = recording.layer_count
    return tuple(dict.fromkeys((count // 4, count // 2)))


def pushes(
    recording: Recording,
    positions: Sequence[int],
    lenses: Mapping[str, StateLens],
    word: int,
    tokens: Sequence[int],
    seed: int,
) -> list[Push]:
    """Pushes against each lens' direction, and as far at random.

    Args:
        recording: the clean run.
        positions: the object's patches.
        lenses: by name.
        word: the object's.
        tokens: the words of all classes.
        seed: of the random directions.
    """
    found: list[Push] = []
    for place in places(recording):
        states = recording.residual(place)[list(positions)]
        for name, lens in lenses.items():
            if lens.words(place) == ():
                continue
            way = direction(lens, states, place, word, tokens)
            if bool(way.norm(dim=-1).min() > 0):
                found.append(_push(name, place, 0, positions, -way, states))
        for draw in range(DRAWS):
            way = matched_noise(states, seed + draw)
            found.append(_push("random", place, draw, positions, way, states))
    return found


def direction(
    lens: StateLens,
    states: Float[Tensor, "positions width"],
    place: int,
    word: int,
    tokens: Sequence[int],
) -> Float[Tensor, "positions width"]:
    """Where the lens' score of a word rises fastest above the mean score of all classes' words."""
    with torch.enable_grad():
        moved = states.detach().clone().requires_grad_()
        scores = lens.scores(moved, place)
        known = torch.isfinite(scores[0, list(tokens)])
        others = [token for token, one in zip(tokens, known.tolist(), strict=True) if one]
        if word not in others:
            return torch.zeros_like(states)
        above = scores[:, word] - scores[:, others].mean(-1)
        (found,) = torch.autograd.grad(above.sum(), moved)
    return found


def _push(
    lens: str, place: int, draw: int, positions: Sequence[int], way: Tensor, states: Tensor
) -> Push:
    size = STRENGTH * states.norm(dim=-1, keepdim=True) / way.norm(dim=-1, keepdim=True)
    return Push(lens, place, draw, (Steer(tuple(positions), place, way * size),))
