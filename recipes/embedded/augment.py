"""Change the style of images, not what they show, so that a tower learns shapes over styles."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from recipes.embedded.architecture import PIXEL_MEAN, PIXEL_STD


def normalise(pixels: Tensor) -> Float[Tensor, "n 3 h w"]:
    """Turn uint8 (n, h, w, 3) into what the vision tower reads."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - PIXEL_MEAN) / PIXEL_STD


def restyle(images: Float[Tensor, "n 3 h w"], rng: Generator) -> Float[Tensor, "n 3 h w"]:
    """Vary colour, light, sharpness and noise of each image on its own.

    Args:
        images: normalised images.
        rng: source of every choice.

    Returns:
        New normalised images of the same shape.
    """
    n = len(images)

    def some(share: float) -> Float[Tensor, "n 1 1 1"]:
        return (torch.rand(n, generator=rng) < share).float().view(n, 1, 1, 1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng)

    # A random colour matrix: near the identity for most, a free mix of channels for some.
    strength = 0.08 + 0.42 * (torch.rand(n, 1, 1, generator=rng) < 0.2).float()
    matrix = torch.eye(3) + strength * normal(n, 3, 3)
    matrix = matrix / matrix.sum(-1, keepdim=True).clamp(min=0.5)
    mixed = torch.einsum("nij,njhw->nihw", matrix, images)
    grey = images.mean(1, keepdim=True).expand_as(images)
    mixed = mixed + some(0.12) * (grey - mixed)
    mixed = mixed * (1 + 0.2 * normal(n, 1, 1, 1)).clamp(min=0.4) + 0.25 * normal(n, 3, 1, 1)
    blurred = F.avg_pool2d(F.pad(mixed, (1, 1, 1, 1), mode="replicate"), 3, 1)
    softness = 2 * some(0.35) * torch.rand(n, 1, 1, 1, generator=rng) - 0.6 * some(0.2)
    mixed = mixed + softness.clamp(max=1) * (blurred - mixed)
    coarse = (mixed * 1.5).round() / 1.5
    mixed = mixed + some(0.1) * (coarse - mixed)
    return mixed + some(0.5) * 0.12 * normal(*mixed.shape)
