"""Change the style of images, not what they show, so that a tower learns shapes over styles.

Everything happens on the device, for a whole batch at once. Some changes keep colours (light,
blur, noise, texture, outlines, compression); the others are for images that no question about
colour is asked of: new palettes, things in one tint, things as drawings in lines.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Generator, Tensor

from recipes.stack.shape import PIXEL_MEAN, PIXEL_STD

BLOCK = 8
"""Side of a block of compression in pixels."""
LIGHT = (0.299, 0.587, 0.114)


def normalise(images: UInt8[Tensor, "n h w 3"], dtype: torch.dtype) -> Float[Tensor, "n 3 h w"]:
    """Turn pixels of 0 to 255 into what the vision tower reads."""
    return ((images.permute(0, 3, 1, 2).float() / 255 - PIXEL_MEAN) / PIXEL_STD).to(dtype)


class Chances:
    """Draws for each image of a batch on its own."""

    def __init__(self, count: int, rng: Generator, dtype: torch.dtype) -> None:
        """Draw for `count` images from `rng`, on its device."""
        self.count, self.rng, self.dtype = count, rng, dtype

    def some(self, share: float) -> Float[Tensor, "n 1 1 1"]:
        """One for a share of the images, zero for the rest."""
        return (self.uniform(1, 1, 1) < share).to(self.dtype)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1)."""
        drawn = torch.rand(self.count, *shape, generator=self.rng, device=self.rng.device)
        return drawn.to(self.dtype)

    def normal(self, *shape: int) -> Tensor:
        """Normal numbers."""
        drawn = torch.randn(self.count, *shape, generator=self.rng, device=self.rng.device)
        return drawn.to(self.dtype)


def restyle(
    images: UInt8[Tensor, "n h w 3"],
    owners: UInt8[Tensor, "n h w"],
    free: Bool[Tensor, " n"],
    rng: Generator,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "n 3 h w"]:
    """Vary the style of each image on its own.

    Args:
        images: RGB, 0 to 255.
        owners: number of the thing that each pixel shows, 0 for none.
        free: of which images the colours may change.
        rng: source of every choice, on the images' device.
        dtype: of the result.

    Returns:
        Normalised images.
    """
    x = normalise(images, dtype)
    chances = Chances(len(images), rng, dtype)
    free_ones = free.view(-1, 1, 1, 1).to(dtype)
    things = (owners > 0)[:, None].to(dtype)
    edges = find_edges(x)
    recoloured = _draw_lines(_tint(_mix(x, chances), owners, chances), things, edges, chances)
    x = x + free_ones * (recoloured - x)
    x = _light(x, chances)
    x = _outline(x, owners, edges, chances)
    x = _soften(x, chances)
    x = _compress(x, chances)
    coarse = (x * 1.5).round() / 1.5
    x = x + chances.some(0.1) * (coarse - x)
    return x + chances.some(0.5) * 0.15 * chances.uniform(1, 1, 1) * chances.normal(*x.shape[1:])


def _grey(x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    return torch.einsum("nchw,c->nhw", x, torch.tensor(LIGHT, dtype=x.dtype, device=x.device))[
        :, None
    ]


def find_edges(x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Return how much each pixel is an edge, 0 to 1."""
    grey = F.pad(_grey(x), (1, 1, 1, 1), mode="replicate")
    across = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    down = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    return ((across.abs() + down.abs() - 0.5) * 0.8).clamp(0, 1)


def _mix(x: Tensor, chances: Chances) -> Tensor:
    """Mix the channels by a random matrix: near the identity for most, free for some."""
    strength = 0.08 + 0.5 * (chances.uniform(1, 1) < 0.3).to(x.dtype)
    matrix = torch.eye(3, dtype=x.dtype, device=x.device) + strength * chances.normal(3, 3)
    matrix = matrix / matrix.sum(-1, keepdim=True).clamp(min=0.5)
    mixed = torch.einsum("nij,njhw->nihw", matrix, x)
    mixed = mixed + chances.some(0.15) * (_grey(mixed) - mixed)
    return mixed * (1 - 2 * chances.some(0.06)) + 0.25 * chances.normal(3, 1, 1)


def _tint(x: Tensor, owners: Tensor, chances: Chances) -> Tensor:
    """Give each thing of some images one tint, with more or less of its light and dark."""
    colours = 1.3 * chances.normal(7, 3)
    tint = torch.gather(
        colours, 1, owners.flatten(1).clamp(max=6).long()[..., None].expand(-1, -1, 3)
    ).view(*owners.shape, 3)
    tint = tint.permute(0, 3, 1, 2)
    shade = chances.uniform(1, 1, 1) * _grey(x)
    there = (owners > 0)[:, None].to(x.dtype) * chances.some(0.3)
    return x + there * (tint + shade - x)


def _draw_lines(x: Tensor, things: Tensor, edges: Tensor, chances: Chances) -> Tensor:
    """Turn the things of some images into drawings in lines, and some whole images."""
    paper = 1.2 + 0.6 * chances.normal(1, 1, 1) + 0.3 * chances.normal(3, 1, 1)
    ink = -1.6 + 0.4 * chances.normal(3, 1, 1)
    swap = chances.some(0.2)
    paper, ink = paper + swap * (ink - paper), ink + swap * (paper - ink)
    kept = 0.35 * chances.uniform(1, 1, 1)
    drawing = paper + kept * (x - paper)
    drawing = drawing + (1.6 * edges).clamp(max=1) * (ink - drawing)
    where = chances.some(0.16) * (things + chances.some(0.3)).clamp(max=1)
    return x + where * (drawing - x)


def _light(x: Tensor, chances: Chances) -> Tensor:
    """Vary contrast and brightness, and lay a coarse texture over the image."""
    x = x * (1 + 0.2 * chances.normal(1, 1, 1)).clamp(min=0.5) + 0.15 * chances.normal(1, 1, 1)
    for side in (6, 24):
        cloud = F.interpolate(
            chances.normal(1, side, side), x.shape[-2:], mode="bilinear", align_corners=False
        )
        x = x * (1 + chances.some(0.25) * 0.2 * cloud)
    return x


def _outline(x: Tensor, owners: Tensor, edges: Tensor, chances: Chances) -> Tensor:
    """Draw edges, and the borders of things, darker or lighter in some images."""
    ink = -1.8 + 3.4 * chances.some(0.2)
    x = x + chances.some(0.2) * edges * (ink - x)
    padded = F.pad(owners[:, None].to(x.dtype), (2, 2, 2, 2), mode="replicate")
    high, low = F.max_pool2d(padded, 5, 1), -F.max_pool2d(-padded, 5, 1)
    thin = F.max_pool2d(padded[..., 1:-1, 1:-1], 3, 1)
    thick = chances.some(0.4)
    border = ((high > low).to(x.dtype) * thick) + (1 - thick) * (
        thin > -F.max_pool2d(-padded[..., 1:-1, 1:-1], 3, 1)
    ).to(x.dtype)
    ink = ink + 0.4 * chances.normal(3, 1, 1)
    return x + chances.some(0.2) * border * (ink - x)


def _soften(x: Tensor, chances: Chances) -> Tensor:
    """Blur some images and sharpen others."""
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    more = F.avg_pool2d(F.pad(blurred, (2, 2, 2, 2), mode="replicate"), 5, 1)
    far = chances.some(0.15) * chances.uniform(1, 1, 1)
    near = chances.some(0.3) * chances.uniform(1, 1, 1) - 0.8 * chances.some(0.15)
    return x + near * (blurred - x) + far * (more - x)


@cache
def _cosines(device: torch.device, dtype: torch.dtype) -> Float[Tensor, "8 8"]:
    at = torch.arange(BLOCK, dtype=torch.float64)
    rows = torch.cos(torch.pi / BLOCK * (at + 0.5) * at[:, None]) * (2 / BLOCK) ** 0.5
    rows[0] /= 2**0.5
    return rows.to(device, dtype)


def _compress(x: Tensor, chances: Chances) -> Tensor:
    """Compress some images as JPEG does: round the cosines of blocks, high ones more coarsely."""
    basis = _cosines(x.device, x.dtype)
    blocks = x.unflatten(-1, (-1, BLOCK)).unflatten(-3, (-1, BLOCK))
    waves = torch.einsum("ki,ncaibj,lj->ncakbl", basis, blocks, basis)
    at = torch.arange(BLOCK, device=x.device, dtype=x.dtype)
    step = (0.1 + 0.12 * (at[:, None] + at))[:, None] * (0.5 + 4 * chances.uniform(1, 1, 1, 1, 1))
    waves = (waves / step).round() * step
    back = torch.einsum("ki,ncakbl,lj->ncaibj", basis, waves, basis)
    return x + chances.some(0.25) * (back.reshape(x.shape) - x)
