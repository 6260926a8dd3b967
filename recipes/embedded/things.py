"""Teach the tower to say of each patch which thing it belongs to: what, where, which of how many.

"What is at the top left?" is asked of things, not of patches: a thing in the middle reaches into
the rows above. A decoder finds the answer once each patch of a thing tells the thing's place in
the 3 x 3 grid, its number and its colour, and seldom before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from transformers import CLIPVisionModel

from recipes.embedded.architecture import WIDTH
from recipes.embedded.augment import normalise, restyle
from recipes.embedded.optimise import Optimiser
from recipes.embedded.places import place_loss
from recipes.embedded.pool import BACKGROUND, GRID, PATCH, UNSURE, Pool, read_pool
from recipes.embedded.training import train_stage
from recipes.embedded.vision import patch_loss
from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.colour import COLOURS

STEPS = 500
IMAGES = 20
# How often images of one thing, of several, and of several of one class are drawn: the first
# say nothing of relations, the last are the only ones that teach counting.
ONE, SEVERAL, REPEATED = 0.5, 1.0, 2.5
SEED = 60


@dataclass(frozen=True)
class Labels:
    """What the patches of some images belong to; `UNSURE` where there is nothing to say.

    Attributes:
        patch: class number, or `BACKGROUND`.
        cell: the thing's cell in the 3 x 3 grid, row by row.
        number: how many things of the class the image holds, less one.
        colour: number of the thing's colour word.
    """

    patch: Int[Tensor, "n 144"]
    cell: Int[Tensor, "n 144"]
    number: Int[Tensor, "n 144"]
    colour: Int[Tensor, "n 144"]


class Heads(nn.Module):
    """Linear heads over the tower's patches, dropped after training."""

    def __init__(self) -> None:
        """Make new heads."""
        super().__init__()
        self.patch = nn.Linear(WIDTH, BACKGROUND + 1)
        self.place = nn.Linear(WIDTH, 2 * GRID)
        self.cell = nn.Linear(WIDTH, 9)
        self.number = nn.Linear(WIDTH, 3)
        self.colour = nn.Linear(WIDTH, len(COLOURS))

    def loss(self, features: Float[Tensor, "n 144 width"], labels: Labels) -> Float[Tensor, ""]:
        """Cross-entropy of everything that the patches are asked."""
        things = (labels.patch >= 0) & (labels.patch < BACKGROUND)
        places = self.place(features).unflatten(-1, (2, GRID))
        total = patch_loss(self.patch(features), labels.patch) + 0.3 * place_loss(places, things)
        for name, weight in (("cell", 1.0), ("number", 0.5), ("colour", 0.5)):
            scores = getattr(self, name)(features).flatten(0, 1)
            truth = getattr(labels, name).flatten()
            total = total + weight * F.cross_entropy(scores, truth, ignore_index=UNSURE)
        return total

    @torch.no_grad()
    def accuracy(self, features: Float[Tensor, "n 144 width"], labels: Labels) -> dict[str, float]:
        """Share of thing patches about which each head is right."""
        things = (labels.patch >= 0) & (labels.patch < BACKGROUND)
        return {
            name: float((getattr(self, name)(features).argmax(-1) == truth)[things].float().mean())
            for name, truth in vars(labels).items()
        }


def owned(pool: Pool, row: int) -> Bool[np.ndarray, "things 144"]:
    """Which patches belong to which thing of an image; things of a class share by distance."""
    lines = (np.arange(GRID) + 0.5) * PATCH
    centres = np.stack(np.meshgrid(lines, lines), -1).reshape(-1, 2)
    facts, patches = pool.facts[row], pool.labels[row]
    boxes = pool.boxes[row, : len(facts)].astype(float)
    distance = np.linalg.norm(centres - (boxes[:, None, :2] + boxes[:, None, 2:]) / 2, axis=-1)
    same = np.array([NAMES.index(fact.name) for fact in facts])[:, None] == patches
    nearest = np.where(same, distance, np.inf).argmin(0)
    return same & (nearest == np.arange(len(facts))[:, None])


def label_things(pool: Pool, rows: Sequence[int] | np.ndarray, restyled: int = 0) -> Labels:
    """Label the patches of images with the things they belong to.

    Args:
        pool: the scenes.
        rows: which of them.
        restyled: so many of the first images have other colours than the pool says.
    """
    found = np.full((3, len(rows), GRID * GRID), UNSURE, np.int64)
    for image, row in enumerate(rows):
        count = Counter(fact.name for fact in pool.facts[row])
        for fact, patches in zip(pool.facts[row], owned(pool, row), strict=True):
            colour = UNSURE if image < restyled else COLOURS.index(fact.colour)
            told = (3 * fact.row + fact.column, count[fact.name] - 1, colour)
            found[:, image, patches] = np.array(told)[:, None]
    patch = torch.from_numpy(pool.labels[rows].astype(np.int64))
    return Labels(patch, *(torch.from_numpy(each) for each in found))


def draw_weights(pool: Pool, several: float = REPEATED) -> Float[np.ndarray, " n"]:
    """Return the probability with which each image of a pool is drawn.

    Args:
        pool: the scenes.
        several: how often those with several things of one class are drawn.
    """
    weights = []
    for facts in pool.facts:
        repeated = max(Counter(fact.name for fact in facts).values()) > 1
        weights.append(several if repeated else SEVERAL if len(facts) > 1 else ONE)
    return np.array(weights) / sum(weights)


class Telling(nn.Module):
    """The tower and the heads over its patches."""

    def __init__(self, tower: CLIPVisionModel) -> None:
        """Add new heads to a trained tower."""
        super().__init__()
        self.tower, self.heads = tower, Heads()

    def forward(self, pixels: Float[Tensor, "n 3 192 192"]) -> Float[Tensor, "n 144 width"]:
        """Return the features of the patches."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.tower(pixel_values=pixels).last_hidden_state[:, 1:].float()


def train_things(tower: CLIPVisionModel, folder: Path, steps: int = STEPS) -> Heads:
    """Train the tower and new heads on what each patch belongs to.

    Args:
        tower: trained in place.
        folder: where pools and checkpoints lie.
        steps: number of steps.

    Returns:
        The heads, with which training can go on.
    """
    torch.manual_seed(SEED)
    train, validation = read_pool(folder / "train"), read_pool(folder / "validation")
    tower.requires_grad_(True)
    model = Telling(tower)
    chances = draw_weights(train)

    def loss_of(step: int) -> Tensor:
        rng = np.random.default_rng((SEED, step))
        noise = Generator().manual_seed(SEED * 10**6 + step)
        rows = rng.choice(len(chances), IMAGES, replace=False, p=chances)
        pixels = normalise(torch.from_numpy(train.images[rows]))
        half = IMAGES // 2
        pixels = torch.cat([restyle(pixels[:half], noise), pixels[half:]])
        return model.heads.loss(model(pixels), label_things(train, rows, half))

    def measure() -> dict[str, float]:
        rows = np.arange(100)
        with torch.no_grad():
            features = model(normalise(torch.from_numpy(np.array(validation.images[rows]))))
        return model.heads.accuracy(features, label_things(validation, rows))

    optimiser = Optimiser([(tower, 7e-4), (model.heads, 5e-3)], steps, weight_decay=0.02)
    train_stage("things", model, optimiser, loss_of, folder, measure)
    return model.heads
