"""A stack of CLIP vision towers: the equations of `transformers`' CLIP, for several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from recipes.stack.decoder import draw
from recipes.stack.shape import GRID, PATCH, PATCHES, PIXELS, Shape

EPSILON = 1e-5
WAVES = 0.3
"""Amplitude of the waves that position embeddings begin as."""


@dataclass(frozen=True)
class TowerLayer:
    """Weights and biases of one layer, norms folded in."""

    qkv: Float[Tensor, "models width three_widths"]
    qkv_bias: Float[Tensor, "models 1 three_widths"]
    out: Float[Tensor, "models width width"]
    out_bias: Float[Tensor, "models 1 width"]
    up: Float[Tensor, "models width hidden"]
    up_bias: Float[Tensor, "models 1 hidden"]
    down: Float[Tensor, "models hidden width"]
    down_bias: Float[Tensor, "models 1 width"]


class Tower(nn.Module):
    """Weights of the stacked towers in float32."""

    patch: nn.Parameter
    token: nn.Parameter
    qkv: nn.Parameter
    out: nn.Parameter
    up: nn.Parameter
    down: nn.Parameter
    first_norm: nn.Parameter
    first_shift: nn.Parameter
    attention_norm: nn.Parameter
    attention_shift: nn.Parameter
    mlp_norm: nn.Parameter
    mlp_shift: nn.Parameter

    def __init__(self, shape: Shape, seeds: Sequence[int]) -> None:
        """Draw weights; position embeddings begin as waves over rows and columns.

        A tower that is asked what stands in a patch is slow to learn where patches are.
        """
        super().__init__()
        self.shape = shape
        d, hidden, layers = shape.width, shape.vision_hidden, shape.vision_layers
        sizes = {
            "patch": (PIXELS, d),
            "token": (d,),
            "qkv": (layers, 3, d, d),
            "out": (layers, d, d),
            "up": (layers, d, hidden),
            "down": (layers, hidden, d),
        }
        drawn = [draw(sizes, seed) for seed in seeds]
        for name in sizes:
            setattr(self, name, nn.Parameter(torch.stack([each[name] for each in drawn])))
        models = len(seeds)
        places = torch.cat([torch.zeros(1, d), WAVES * waves(d)])
        self.position = nn.Parameter(places.expand(models, -1, -1).clone())
        for name, size in (("first", (d,)), ("attention", (layers, d)), ("mlp", (layers, d))):
            setattr(self, f"{name}_norm", nn.Parameter(torch.ones(models, *size)))
            setattr(self, f"{name}_shift", nn.Parameter(torch.zeros(models, *size)))
        self.qkv_bias = nn.Parameter(torch.zeros(models, layers, 3, d))
        self.out_bias = nn.Parameter(torch.zeros(models, layers, d))
        self.up_bias = nn.Parameter(torch.zeros(models, layers, hidden))
        self.down_bias = nn.Parameter(torch.zeros(models, layers, d))

    def layers(self, dtype: torch.dtype) -> list[TowerLayer]:
        """Return the layers' weights ready to multiply, their norms folded in."""
        models, layers, _, d, _ = self.qkv.shape
        qkv = self.attention_norm[:, :, None, :, None] * self.qkv
        shift = torch.einsum("eld,elsdf->elsf", self.attention_shift, self.qkv) + self.qkv_bias
        up = self.mlp_norm[..., None] * self.up
        up_shift = torch.einsum("eld,eldf->elf", self.mlp_shift, self.up) + self.up_bias
        parts = (
            qkv.transpose(2, 3).reshape(models, layers, d, 3 * d),
            shift.reshape(models, layers, 1, 3 * d),
            self.out,
            self.out_bias[:, :, None],
            up,
            up_shift[:, :, None],
            self.down,
            self.down_bias[:, :, None],
        )
        split = (part.to(dtype).unbind(1) for part in parts)
        return [TowerLayer(*each) for each in zip(*split, strict=True)]

    def embed(self, patches: Float[Tensor, "models n 144 pixels"]) -> Tensor:
        """Return the tokens before the first layer: class, patches."""
        models, n = patches.shape[:2]
        dtype, d = patches.dtype, self.shape.width
        flat = torch.bmm(patches.flatten(1, 2), self.patch.to(dtype)).view(models, n, PATCHES, d)
        first = self.token[:, None, None].to(dtype).expand(-1, n, -1, -1)
        x = torch.cat([first, flat], 2) + self.position[:, None].to(dtype)
        x = F.layer_norm(x, (d,), eps=EPSILON)
        return x * self.first_norm[:, None, None].to(dtype) + self.first_shift[:, None, None].to(
            dtype
        )


def cut_patches(pixels: Float[Tensor, "*n 3 192 192"]) -> Float[Tensor, "*n 144 pixels"]:
    """Cut normalised images into patches, each a line of its pixels by channel, row and column."""
    cut = pixels.unflatten(-2, (GRID, PATCH)).unflatten(-1, (GRID, PATCH))
    return cut.movedim((-4, -2), (-5, -4)).flatten(-3).flatten(-3, -2)


def run_tower_layer(x: Float[Tensor, "models n width"], layer: TowerLayer, heads: int, count: int):
    """Return the residual stream after a layer; `count` rows in all models together."""
    models, n, d = x.shape
    normed = F.layer_norm(x, (d,), eps=EPSILON)
    qkv = torch.baddbmm(layer.qkv_bias, normed, layer.qkv)
    q, k, v = qkv.view(count, -1, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(models, n, d)
    x = x + torch.baddbmm(layer.out_bias, mixed, layer.out)
    hidden = torch.baddbmm(layer.up_bias, F.layer_norm(x, (d,), eps=EPSILON), layer.up)
    return x + torch.baddbmm(layer.down_bias, F.gelu(hidden), layer.down)


RunTowerLayer = Callable[[Tensor, TowerLayer, int, int], Tensor]


def look(
    tower: Tower,
    pixels: Float[Tensor, "models n 3 192 192"],
    run: RunTowerLayer = run_tower_layer,
) -> Float[Tensor, "models n tokens width"]:
    """Return the towers' last states: the class token, the patches."""
    models, n = pixels.shape[:2]
    x = tower.embed(cut_patches(pixels))
    tokens = x.shape[2]
    x = x.flatten(1, 2)
    for layer in tower.layers(x.dtype):
        x = run(x, layer, tower.shape.heads, models * n)
    return x.view(models, n, tokens, -1)


def waves(width: int) -> Float[Tensor, "144 width"]:
    """Return sines and cosines over rows and over columns, 3 to 24 patches long."""
    lengths = torch.logspace(0.4771, 1.3802, width // 4)
    angles = 2 * torch.pi * torch.arange(GRID)[:, None] / lengths
    line = torch.cat([angles.sin(), angles.cos()], 1)
    rows = line[:, None].expand(-1, GRID, -1)
    columns = line[None].expand(GRID, -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1)
