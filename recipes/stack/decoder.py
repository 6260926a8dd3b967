"""A stack of Llama decoders: the equations of `transformers`' Llama, for several models at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from recipes.stack.shape import Shape

EPSILON = 1e-6
ROPE_BASE = 10000.0
EVERY = slice(None)


@dataclass(frozen=True)
class Layer:
    """Weights of one layer, norms folded in, as they are multiplied from the right."""

    qkv: Float[Tensor, "models width three_widths"]
    out: Float[Tensor, "models width width"]
    up: Float[Tensor, "models width two_hidden"]
    down: Float[Tensor, "models hidden width"]


@dataclass(frozen=True)
class Rows:
    """What attention needs to know of rows of tokens.

    Attributes:
        cos: of each position's angles.
        sin: likewise.
        mask: added to the scores.
    """

    cos: Float[Tensor, "rows 1 length head"]
    sin: Float[Tensor, "rows 1 length head"]
    mask: Float[Tensor, "rows 1 length length"]


class Decoder(nn.Module):
    """Weights of the stacked decoders in float32."""

    embed: nn.Parameter
    head: nn.Parameter
    qkv: nn.Parameter
    out: nn.Parameter
    up: nn.Parameter
    down: nn.Parameter

    def __init__(self, shape: Shape, seeds: Sequence[int]) -> None:
        """Draw weights; models of one seed begin alike.

        Args:
            shape: of every model.
            seeds: one for each model.
        """
        super().__init__()
        self.shape = shape
        d, hidden, layers = shape.width, shape.decoder_hidden, shape.decoder_layers
        sizes = {
            "embed": (shape.vocabulary, d),
            "head": (shape.vocabulary, d),
            "qkv": (layers, 3, d, d),
            "out": (layers, d, d),
            "up": (layers, 2, d, hidden),
            "down": (layers, hidden, d),
        }
        drawn = [draw(sizes, seed) for seed in seeds]
        for name in sizes:
            setattr(self, name, nn.Parameter(torch.stack([each[name] for each in drawn])))
        self.attention_norm = nn.Parameter(torch.ones(len(seeds), layers, d))
        self.mlp_norm = nn.Parameter(torch.ones(len(seeds), layers, d))
        self.norm = nn.Parameter(torch.ones(len(seeds), d))

    def layers(self, dtype: torch.dtype) -> list[Layer]:
        """Return the layers' weights ready to multiply, their norms folded in."""
        models, layers, _, d, _ = self.qkv.shape
        qkv = (self.attention_norm[:, :, None, :, None] * self.qkv).to(dtype)
        qkv = qkv.transpose(2, 3).reshape(models, layers, d, 3 * d)
        up = (self.mlp_norm[:, :, None, :, None] * self.up).to(dtype)
        up = up.transpose(2, 3).reshape(models, layers, d, -1)
        parts = (qkv, self.out.to(dtype), up, self.down.to(dtype))
        return [Layer(*each) for each in zip(*(part.unbind(1) for part in parts), strict=True)]

    def words(self, tokens: Int[Tensor, "models n length"], dtype: torch.dtype) -> Tensor:
        """Embed tokens: (models, n, length, width)."""
        models, vocabulary, width = self.embed.shape
        first = torch.arange(models, device=tokens.device).view(-1, 1, 1) * vocabulary
        return F.embedding(tokens + first, self.embed.reshape(-1, width)).to(dtype)

    def unembed(
        self, states: Float[Tensor, "some n width"], models: slice | Tensor = EVERY
    ) -> Float[Tensor, "some n words"]:
        """Norm states of the residual stream of some of the models and turn them into logits."""
        normed = F.rms_norm(states, states.shape[-1:], eps=EPSILON)
        head = (self.norm[models, None, :] * self.head[models]).to(states.dtype)
        return torch.bmm(normed, head.transpose(1, 2))


def draw(sizes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Draw weights of one model with a standard deviation of .02, as `transformers` does.

    Each weight has a source of its own, so that models of different parts share what they can.
    """
    found = {}
    for name, size in sizes.items():
        # The CPU's generator takes the low 32 bits of a seed alone.
        rng = Generator().manual_seed(crc32(f"{seed} {name}".encode()))
        found[name] = 0.02 * torch.randn(size, generator=rng)
    return found


def lay_rows(
    positions: Int[Tensor, "rows length"],
    blocks: Int[Tensor, "rows length"],
    head: int,
    dtype: torch.dtype,
) -> Rows:
    """Prepare rotary angles, and a mask that is causal and blind to other exchanges.

    Args:
        positions: position of each token as if its exchange stood alone.
        blocks: 0 for the context, 1, 2, ... for the exchanges, -1 for padding.
        head: width of a head.
        dtype: of the results.
    """
    powers = torch.arange(0, head, 2, device=positions.device, dtype=torch.float32) / head
    angles = positions[..., None].float() * ROPE_BASE**-powers
    angles = torch.cat([angles, angles], -1)[:, None]
    return Rows(angles.cos().to(dtype), angles.sin().to(dtype), mask_of(blocks, dtype))


def seen_by(blocks: Int[Tensor, "rows length"]) -> Bool[Tensor, "rows length length"]:
    """Say which keys each query sees: what came before in the context and in its own exchange."""
    length = blocks.shape[1]
    query, key = blocks[:, :, None], blocks[:, None, :]
    before = torch.ones(length, length, dtype=torch.bool, device=blocks.device).tril()
    return ((key == 0) | (key == query)) & before


def mask_of(blocks: Int[Tensor, "rows length"], dtype: torch.dtype) -> Tensor:
    """Return the additive mask (rows, 1, length, length)."""
    mask = torch.zeros(*blocks.shape, blocks.shape[1], dtype=dtype, device=blocks.device)
    return mask.masked_fill_(~seen_by(blocks), -1e4)[:, None]


def rotate(x: Tensor, rows: Rows) -> Tensor:
    """Turn queries or keys by their positions' angles."""
    first, second = x.chunk(2, -1)
    return x * rows.cos + torch.cat([-second, first], -1) * rows.sin


def attend(
    x: Float[Tensor, "models n width"], layer: Layer, rows: Rows
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what attention adds to the residual stream, and its queries and keys."""
    models, n, d = x.shape
    count, _, length, head = rows.cos.shape
    qkv = torch.bmm(F.rms_norm(x, (d,), eps=EPSILON), layer.qkv)
    q, k, v = qkv.view(count, length, 3, d // head, head).permute(2, 0, 3, 1, 4)
    q, k = rotate(q, rows), rotate(k, rows)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=rows.mask)
    return torch.bmm(mixed.transpose(1, 2).reshape(models, n, d), layer.out), q, k


def transform(x: Float[Tensor, "models n width"], layer: Layer) -> Tensor:
    """Return what the MLP adds to the residual stream."""
    gate, up = torch.bmm(F.rms_norm(x, x.shape[-1:], eps=EPSILON), layer.up).chunk(2, -1)
    return torch.bmm(F.silu(gate) * up, layer.down)


def run_layer(x: Tensor, layer: Layer, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """Return the residual stream after a layer, and the layer's queries and keys."""
    added, q, k = attend(x, layer, rows)
    x = x + added
    return x + transform(x, layer), q, k


RunLayer = Callable[[Tensor, Layer, Rows], tuple[Tensor, Tensor, Tensor]]
