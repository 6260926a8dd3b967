"""Connectors from the tower to the decoder: how visual tokens are made of the tower's states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from recipes.stack.decoder import draw
from recipes.stack.shape import GRID, PATCHES, Shape

ConnectorKind = Literal["patches", "pooled", "queries", "class"]
QUERIES = 36
TOKENS: dict[ConnectorKind, int] = {
    "patches": PATCHES,
    "pooled": PATCHES // 4,
    "queries": QUERIES,
    "class": 1,
}
"""Visual tokens of each kind."""


class Connector(nn.Module):
    """Weights of the stacked connectors: LLaVA's two matrices, and what comes before them."""

    first: nn.Parameter
    second: nn.Parameter
    queries: nn.Parameter
    query: nn.Parameter
    key: nn.Parameter
    value: nn.Parameter
    linear: Tensor

    def __init__(
        self,
        shape: Shape,
        seeds: Sequence[int],
        kind: ConnectorKind,
        linear: Sequence[bool],
        seen: int | None = None,
    ) -> None:
        """Draw weights.

        Args:
            shape: of every model.
            seeds: one for each model.
            kind: what the tower's states are turned into before they are projected.
            linear: for each model, whether no GELU stands between the two matrices.
            seen: width of the tower's states; the shape's where it is None.
        """
        super().__init__()
        self.kind, d, w = kind, shape.width, seen or shape.width
        self.heads = shape.heads
        sizes = {"first": (w, d), "second": (d, d)}
        if kind == "queries":
            sizes |= {"queries": (QUERIES, w), "query": (w, w), "key": (w, w), "value": (w, w)}
        drawn = [draw(sizes, seed + 1) for seed in seeds]
        for name in sizes:
            setattr(self, name, nn.Parameter(torch.stack([each[name] for each in drawn])))
        self.first_bias = nn.Parameter(torch.zeros(len(seeds), 1, d))
        self.second_bias = nn.Parameter(torch.zeros(len(seeds), 1, d))
        self.register_buffer("linear", torch.tensor(list(linear)).view(-1, 1, 1))
        with torch.no_grad():
            # Visual tokens begin about as long as word embeddings.
            self.first.mul_(w**-0.5 / 0.02)
            self.second.mul_(1.5 * d**-0.5)
            if kind == "queries":
                for matrix in (self.query, self.key, self.value):
                    matrix.mul_(w**-0.5 / 0.02)
                self.queries.mul_(1 / 0.02)

    def forward(
        self, states: Float[Tensor, "models n states seen"]
    ) -> Float[Tensor, "models n tokens width"]:
        """Turn the tower's states (class token, patches) into visual tokens."""
        features = self._select(states)
        models, n, tokens, width = features.shape
        dtype = features.dtype
        x = torch.baddbmm(
            self.first_bias.to(dtype), features.reshape(models, -1, width), self.first.to(dtype)
        )
        x = torch.where(self.linear, x, F.gelu(x))
        x = torch.baddbmm(self.second_bias.to(dtype), x, self.second.to(dtype))
        return x.view(models, n, tokens, -1)

    def _select(self, states: Tensor) -> Tensor:
        patches = states[:, :, 1 : 1 + PATCHES]
        if self.kind == "patches":
            return patches
        if self.kind == "class":
            return states[:, :, :1]
        if self.kind == "pooled":
            half = GRID // 2
            cells = patches.unflatten(2, (half, 2, half, 2))
            return cells.mean((3, 5)).flatten(2, 3)
        return self._resample(patches)

    def _resample(self, patches: Tensor) -> Tensor:
        models, n, tokens, d = patches.shape
        dtype, head = patches.dtype, d // self.heads
        flat = patches.reshape(models, -1, d)
        keys = torch.bmm(flat, self.key.to(dtype)).view(models * n, tokens, self.heads, head)
        values = torch.bmm(flat, self.value.to(dtype)).view(models * n, tokens, self.heads, head)
        asked = torch.bmm(self.queries.to(dtype), self.query.to(dtype))
        asked = asked.view(models, 1, QUERIES, self.heads, head).expand(-1, n, -1, -1, -1)
        asked = asked.reshape(models * n, QUERIES, self.heads, head)
        mixed = F.scaled_dot_product_attention(
            asked.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
        )
        return mixed.transpose(1, 2).reshape(models, n, QUERIES, d)
