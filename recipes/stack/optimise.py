"""Muon for the matrices of transformer layers, Adam for the rest, each model on its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

MATRICES = ("qkv", "out", "up", "down")
"""Names of the parameters that get Muon."""
MOMENTUM, BETAS, EPSILON = 0.95, (0.9, 0.98), 1e-8
LIMIT = 1.0
"""Each model's gradient is shortened to this length."""
WARM_UP = 40
LAST = 0.03
"""The learning rate ends at this share of its peak."""


@dataclass(frozen=True)
class Group:
    """Modules that share a peak learning rate.

    Attributes:
        module: stacked modules.
        rate: peak learning rate.
        scale: factor of each model's rate, 0 for one that is frozen; None for all alike.
    """

    module: nn.Module
    rate: float
    scale: Float[Tensor, " models"] | None = None


@dataclass(frozen=True)
class _Slot:
    """A parameter with each model's rate: (models,)."""

    parameter: Tensor
    rates: Tensor


class Optimiser:
    """One optimiser for all models of a stack; no model's step depends on another's gradient.

    Parameters are taken together, so that a step is few kernels: those of Adam as one line of
    numbers for each model, matrices of one shape as one stack.
    """

    def __init__(self, groups: Sequence[Group], weight_decay: float = 0.01) -> None:
        """Make the state of every parameter."""
        self.weight_decay, self.taken = weight_decay, 0
        self.lines: list[_Slot] = []
        self.stacks: dict[tuple[int, int], list[_Slot]] = {}
        for group in groups:
            for name, p in group.module.named_parameters():
                if not p.requires_grad or p.numel() == 0:
                    continue
                rates = torch.full((len(p),), group.rate, device=p.device)
                slot = _Slot(p, rates if group.scale is None else rates * group.scale)
                if name.rpartition(".")[2] in MATRICES:
                    self.stacks.setdefault((p.shape[-2], p.shape[-1]), []).append(slot)
                else:
                    self.lines.append(slot)
        self.pace = torch.cat([_spread(s.rates, s.parameter) for s in self.lines], 1)
        self.first, self.second = torch.zeros_like(self.pace), torch.zeros_like(self.pace)
        self.momenta = {size: torch.zeros_like(_stack(s)) for size, s in self.stacks.items()}
        self.paces = {size: _stack_rates(s) for size, s in self.stacks.items()}

    @torch.no_grad()
    def step(self, progress: float) -> Float[Tensor, " models"]:
        """Take one step down the gradients that have been computed, and clear them.

        Args:
            progress: share of the schedule that is done, 0 to 1: a short warm-up, then a cosine.

        Returns:
            Length of each model's gradient. A model whose gradient is not finite stays as it is.
        """
        self.taken += 1
        rate = min(1.0, self.taken / WARM_UP)
        rate *= LAST + (1 - LAST) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
        line = torch.cat([_gradient(slot).flatten(1) for slot in self.lines], 1)
        stacks = {
            size: [_gradient(slot).flatten(1, -3) for slot in slots]
            for size, slots in self.stacks.items()
        }
        joined = {size: torch.cat(parts, 1) for size, parts in stacks.items()}
        squares = [line.square().sum(1), *(s.square().sum((1, 2, 3)) for s in joined.values())]
        length = torch.stack(squares).sum(0).sqrt()
        good = torch.isfinite(length)
        factor = torch.where(good, LIMIT / length.clamp(min=LIMIT), 0.0)
        pace = rate * good
        self._adam(torch.nan_to_num(line, 0.0, 0.0, 0.0) * factor[:, None], pace[:, None])
        for size, gradient in joined.items():
            gradient = torch.nan_to_num(gradient, 0.0, 0.0, 0.0) * factor[:, None, None, None]
            self._muon(size, gradient, pace[:, None, None, None])
        for slot in [*self.lines, *(s for slots in self.stacks.values() for s in slots)]:
            slot.parameter.grad = None
        return length

    def _muon(self, size: tuple[int, int], gradient: Tensor, pace: Tensor) -> None:
        momentum, slots = self.momenta[size], self.stacks[size]
        momentum.lerp_(gradient, 1 - MOMENTUM)
        update = orthogonal(gradient.lerp(momentum, MOMENTUM))
        pace = pace * self.paces[size]
        # As large as an update of Adam, so that both share a rate.
        update = update * (pace * (0.2 * math.sqrt(max(size))))
        kept = 1 - pace * self.weight_decay
        at = 0
        for slot in slots:
            count = slot.parameter[0].numel() // (size[0] * size[1])
            shape = (len(pace), *slot.parameter.shape[1:-2], 1, 1)
            part = slice(at, at + count)
            slot.parameter.mul_(kept[:, part].view(shape))
            slot.parameter.sub_(update[:, part].reshape(slot.parameter.shape))
            at += count

    def _adam(self, gradient: Tensor, pace: Tensor) -> None:
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.lerp_(gradient.square(), 1 - BETAS[1])
        first = self.first / (1 - BETAS[0] ** self.taken)
        second = self.second / (1 - BETAS[1] ** self.taken)
        update = first / (second.sqrt_().add_(EPSILON)) * (pace * self.pace)
        sizes = [slot.parameter[0].numel() for slot in self.lines]
        for slot, part in zip(self.lines, update.split(sizes, 1), strict=True):
            slot.parameter.sub_(part.view(slot.parameter.shape))

    def _state(self) -> dict[str, Tensor]:
        stacks = {f"{a} x {b}": momentum for (a, b), momentum in self.momenta.items()}
        return {"first": self.first, "second": self.second, **stacks}

    def state_dict(self) -> dict:
        """Return the state for a checkpoint."""
        return {"taken": self.taken, **self._state()}

    def load_state_dict(self, state: dict) -> None:
        """Take up the state of a checkpoint."""
        self.taken = state["taken"]
        for name, value in self._state().items():
            value.copy_(state[name])


def _gradient(slot: _Slot) -> Tensor:
    """Return a parameter's gradient, zeros where the loss doesn't depend on it."""
    found = slot.parameter.grad
    return torch.zeros_like(slot.parameter) if found is None else found


def _spread(rates: Tensor, parameter: Tensor) -> Float[Tensor, "models numbers"]:
    """Return the rate of every number of a parameter."""
    return rates[:, None].expand(-1, parameter[0].numel())


def _stack(slots: Sequence[_Slot]) -> Float[Tensor, "models matrices rows columns"]:
    """Put the matrices of parameters into one stack."""
    return torch.cat([slot.parameter.detach().flatten(1, -3) for slot in slots], 1)


def _stack_rates(slots: Sequence[_Slot]) -> Float[Tensor, "models matrices 1 1"]:
    """Return the rate of every matrix of a stack."""
    parts = [s.rates[:, None].expand(-1, s.parameter.flatten(1, -3).shape[1]) for s in slots]
    return torch.cat(parts, 1)[..., None, None]


class Optimisers:
    """Several optimisers that are saved together."""

    def __init__(self, parts: dict[str, Optimiser]) -> None:
        """Name them."""
        self.parts = parts

    def state_dict(self) -> dict:
        """Return the state of all."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict) -> None:
        """Take up the state of all."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


def orthogonal(matrices: Float[Tensor, "*stack rows columns"]) -> Tensor:
    """Return the matrices with their singular values near one, by five Newton-Schulz steps."""
    a, b, c = 3.4445, -4.775, 2.0315
    dtype = torch.bfloat16 if matrices.is_cuda else torch.float32
    x = matrices.to(dtype).flatten(0, -3)
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / x.float().norm(dim=(1, 2), keepdim=True).clamp(min=1e-7).to(dtype)
    for _ in range(5):
        square = torch.bmm(x, x.transpose(1, 2))
        square = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, square, x, beta=a)
    x = x.transpose(1, 2) if tall else x
    return x.to(matrices.dtype).view(matrices.shape)
