"""A norm with its scale frozen: what it does to the parts of a state, whose sum it was given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retinoscope.errors import ModelError


@dataclass(frozen=True, eq=False)
class FrozenNorm:
    """A norm as the linear map that it is once the size of its input is taken as given.

    It is found by what the module does, not by its class: `offset + scale * gain * state` (RMS
    norm), or the same of the state less its mean over dimensions (layer norm).

    Attributes:
        gain: one factor for each dimension, up to a constant.
        offset: what comes out for a state of zeros.
        scale: one factor for each position, from the state that was normed there.
        centred: the state's mean over dimensions is taken away first.
    """

    gain: Float[Tensor, " width"]
    offset: Float[Tensor, " width"]
    scale: Float[Tensor, " positions"]
    centred: bool

    def pulled(
        self, direction: Float[Tensor, "#positions width"]
    ) -> Float[Tensor, "positions width"]:
        """The direction before the norm whose product with a part is the part's share behind it."""
        before = direction * self.gain * self.scale[:, None]
        return before - before.mean(-1, keepdim=True) if self.centred else before


@torch.no_grad()
def frozen_norm(norm: nn.Module, states: Float[Tensor, "positions width"]) -> FrozenNorm:
    """Freeze a norm at the states of some positions.

    Args:
        norm: the module.
        states: what it is given.

    Returns:
        Its tensors are float64 on the CPU.

    Raises:
        ModelError: it is neither an RMS norm nor a layer norm.
    """
    device = next(norm.parameters(), states).device
    states = states.to(device)
    probe = _probe(states.shape[-1]).to(states)
    offset = _double(norm(torch.zeros_like(probe)[None])[0])
    gain = (_double(norm(probe[None])[0]) - offset) / _double(probe)
    given, made = _double(states), _double(norm(states)) - offset
    close = (1e-5 if states.dtype == torch.float32 else 2e-2) * float(made.abs().max())
    for centred in (False, True):
        inside = given - given.mean(-1, keepdim=True) if centred else given
        inside = inside * gain
        size = (inside * inside).sum(-1)
        scale = torch.where(size > 0, (inside * made).sum(-1) / size, 0.0)
        if torch.allclose(inside * scale[:, None], made, rtol=0, atol=close):
            return FrozenNorm(gain, offset, scale, centred)
    raise ModelError(
        f"{type(norm).__name__} is neither an RMS norm nor a layer norm, so that its scale can't "
        "be frozen and a logit can't be shared out over the parts of the state before it."
    )


def _probe(width: int) -> Float[Tensor, " width"]:
    """A state without zeros whose mean is zero, which both kinds of norm treat alike."""
    probe = torch.ones(width)
    probe[1::2] = -1.0
    if width % 2:
        probe[-1] = -2.0
        probe[-2] = 1.0
    return probe


def _double(states: Tensor) -> Tensor:
    return states.detach().double().cpu()
