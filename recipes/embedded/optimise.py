"""Muon for the matrices of transformer layers, AdamW for the rest, on one schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn


class Optimiser:
    """Two optimisers that step together."""

    def __init__(
        self,
        groups: Iterable[tuple[nn.Module, float]],
        steps: int,
        weight_decay: float = 0.01,
    ) -> None:
        """Share out the parameters.

        Args:
            groups: (module, peak learning rate) pairs; matrices inside transformer layers get
                Muon.
            steps: length of the schedule: a linear warm-up of 30 steps, then a cosine to 5 %.
            weight_decay: decoupled weight decay of the matrices.
        """
        matrices, others = [], []
        for module, rate in groups:
            named = list(module.named_parameters())
            inner = [p for n, p in named if p.ndim == 2 and "layers." in n]
            outer = [p for n, p in named if not (p.ndim == 2 and "layers." in n)]
            if inner:
                matrices.append({"params": inner, "lr": rate, "peak": rate})
            others.append({"params": outer, "lr": rate, "peak": rate})
        self.steps = steps
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, weight_decay=0.0, betas=(0.9, 0.98))
        ]
        if matrices:
            self.parts.append(
                torch.optim.Muon(
                    matrices,
                    weight_decay=weight_decay,
                    momentum=0.95,
                    adjust_lr_fn="match_rms_adamw",
                )
            )
        self.parameters = [p for o in self.parts for g in o.param_groups for p in g["params"]]

    def step(self, loss: torch.Tensor, number: int) -> None:
        """Take training step `number` (from 0) down the gradient of the loss."""
        rate = min(1.0, (number + 1) / 30)
        rate *= 0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, number / self.steps)))
        for part in self.parts:
            part.zero_grad(set_to_none=True)
            for group in part.param_groups:
                group["lr"] = group["peak"] * rate
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict]:
        """Return the state of both, for a checkpoint."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict]) -> None:
        """Take up the state of a checkpoint."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
