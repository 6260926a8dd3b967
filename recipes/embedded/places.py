"""Teach the trained tower to say where each patch is, besides what stands in it.

A tower that is only asked what stands in a patch never learns its position embeddings, and no
decoder can answer what is at the left of features that look the same everywhere. So the position
embeddings are given waves over rows and columns, and the tower is asked for the place too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn
from transformers import CLIPVisionModel

from recipes.embedded.architecture import WIDTH
from recipes.embedded.augment import normalise, restyle
from recipes.embedded.optimise import Optimiser
from recipes.embedded.pool import BACKGROUND, GRID, Pool, read_pool
from recipes.embedded.training import train_stage
from recipes.embedded.vision import PatchClassifier, mirror, patch_accuracy, patch_loss

STEPS = 160
IMAGES = 20
SEED = 40


def waves() -> Float[Tensor, "144 width"]:
    """Return sines and cosines over rows and over columns, 3 to 24 patches long."""
    lengths = torch.logspace(np.log10(3), np.log10(24), WIDTH // 4)
    angles = 2 * torch.pi * torch.arange(GRID)[:, None] / lengths
    line = torch.cat([angles.sin(), angles.cos()], 1)
    rows = line[:, None].expand(-1, GRID, -1)
    columns = line[None].expand(GRID, -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1)


@torch.no_grad()
def add_waves(tower: CLIPVisionModel, pixels: Float[Tensor, "n 3 h w"]) -> None:
    """Add waves to the position embeddings, 0.7 times as strong as what patches look like."""
    embeddings = getattr(tower, "vision_model", tower).embeddings
    strength = 0.7 * embeddings(pixels)[:, 1:].std()
    embeddings.position_embedding.weight[1:] += strength * waves()


class PlaceClassifier(nn.Module):
    """The tower with its heads and one more that tells row and column of each patch."""

    def __init__(self, seeing: PatchClassifier) -> None:
        """Add a new head to a trained classifier."""
        super().__init__()
        self.seeing = seeing
        self.place_head = nn.Linear(WIDTH, 2 * GRID)

    def forward(
        self, pixels: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n 144 classes"], Float[Tensor, "n 144 2 12"]]:
        """Say what stands in each patch, and its row and column."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self.seeing.tower(pixel_values=pixels).last_hidden_state[:, 1:].float()
        places = self.place_head(hidden).unflatten(-1, (2, GRID))
        return self.seeing.patch_head(hidden), places


def place_loss(places: Float[Tensor, "n 144 2 12"], things: Tensor) -> Float[Tensor, ""]:
    """Cross-entropy of rows and columns, over all patches and once more over those of things."""
    cells = torch.arange(GRID * GRID)
    truth = torch.stack([cells // GRID, cells % GRID], -1).expand(len(places), -1, -1)
    loss = F.cross_entropy(places.flatten(0, 2), truth.flatten(), reduction="none")
    loss = loss.view(*things.shape, 2).mean(-1)
    return loss.mean() + loss[things].mean()


@torch.no_grad()
def place_accuracy(model: PlaceClassifier, pool: Pool, images: int = 100) -> float:
    """Share of thing patches whose row and column are both told right."""
    pixels = normalise(torch.from_numpy(np.array(pool.images[:images])))
    row, column = model(pixels)[1].argmax(-1).unbind(-1)
    cells = torch.arange(GRID * GRID)
    right = (row == cells // GRID) & (column == cells % GRID)
    labels = torch.from_numpy(pool.labels[:images])
    return right[(labels >= 0) & (labels < BACKGROUND)].float().mean().item()


def train_places(seeing: PatchClassifier, folder: Path) -> CLIPVisionModel:
    """Train the tower on what and where at once, and save it as `vision_places`."""
    torch.manual_seed(SEED)
    train, validation = read_pool(folder / "train"), read_pool(folder / "validation")
    add_waves(seeing.tower, normalise(torch.from_numpy(np.array(validation.images[:20]))))
    model = PlaceClassifier(seeing)

    def loss_of(step: int) -> Tensor:
        rng = np.random.default_rng((SEED, step))
        noise = Generator().manual_seed(SEED * 10**6 + step)
        rows = rng.choice(len(train.labels), IMAGES, replace=False)
        labels = torch.from_numpy(train.labels[rows].astype(np.int64))
        pixels = normalise(torch.from_numpy(train.images[rows]))
        pixels, labels = mirror(pixels, labels, GRID, noise)
        scores, places = model(restyle(pixels, noise))
        things = (labels >= 0) & (labels < BACKGROUND)
        return patch_loss(scores, labels) + 0.5 * place_loss(places, things)

    def measure() -> dict[str, float]:
        things, empty = patch_accuracy(seeing, validation, 100)
        return {"things": things, "empty": empty, "places": place_accuracy(model, validation)}

    optimiser = Optimiser([(seeing, 6e-4), (model.place_head, 1e-2)], STEPS, weight_decay=0.02)
    train_stage("places", model, optimiser, loss_of, folder, measure)
    seeing.tower.save_pretrained(folder / "vision_places")
    return seeing.tower
