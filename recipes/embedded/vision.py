"""Train the vision tower to say what stands in each patch.

Small windows of patches around things come first: they hold few background tokens and attend
over 25 positions instead of 144, so that many more things are seen in the same time. Whole
images follow.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from transformers import CLIPVisionModel

from recipes.embedded.architecture import WIDTH, vision_config
from recipes.embedded.augment import normalise, restyle
from recipes.embedded.optimise import Optimiser
from recipes.embedded.pool import BACKGROUND, GRID, PATCH, UNSURE, Pool, read_pool
from recipes.embedded.training import train_stage

STEPS = 3600
WINDOW, WINDOWS, IMAGES = 5, 120, 20
# Up to this share of the steps, nine batches in ten are windows; afterwards three in ten.
WINDOWS_FIRST = 0.55
SEED = 20


class PatchClassifier(nn.Module):
    """The tower with a head over patches and one over the image, both dropped afterwards."""

    def __init__(self) -> None:
        """Make a new tower with random weights."""
        super().__init__()
        self.tower = CLIPVisionModel(vision_config())
        self.tower.set_attn_implementation("eager")
        self.patch_head = nn.Linear(WIDTH, BACKGROUND + 1)
        self.image_head = nn.Linear(WIDTH, BACKGROUND)

    def forward(
        self, pixels: Float[Tensor, "n 3 h w"], cells: Int[Tensor, "n tokens"] | None = None
    ) -> tuple[Float[Tensor, "n tokens classes"], Float[Tensor, "n things"]]:
        """Classify patches, and say which classes the image holds.

        Args:
            pixels: whole images, or windows of them.
            cells: for windows, the number of each patch in the whole image.
        """
        core = getattr(self.tower, "vision_model", self.tower)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if cells is None:
                hidden = core.embeddings(pixels)
            else:
                parts = core.embeddings
                patches = parts.patch_embedding(pixels).flatten(2).transpose(1, 2)
                patches = patches + parts.position_embedding(cells + 1)
                first = parts.class_embedding + parts.position_embedding.weight[0]
                hidden = torch.cat([first.expand(len(pixels), 1, -1), patches], 1)
            hidden = core.pre_layrnorm(hidden)
            hidden = core.encoder(inputs_embeds=hidden).last_hidden_state.float()
        return self.patch_head(hidden[:, 1:]), self.image_head(hidden[:, 0])


def image_labels(labels: np.ndarray) -> Float[Tensor, "n things"]:
    """Turn patch labels into which classes an image holds."""
    present = np.zeros((len(labels), BACKGROUND + 1), np.float32)
    rows, cells = np.nonzero(labels >= 0)
    present[rows, labels[rows, cells]] = 1
    return torch.from_numpy(present[:, :BACKGROUND])


def draw_windows(
    pool: Pool, count: int, rng: np.random.Generator
) -> tuple[Tensor, Int[Tensor, "count cells"], Int[Tensor, "count cells"]]:
    """Cut windows around things: pixels (uint8), cell numbers and labels."""
    rows, slots = rng.integers(len(pool.labels), size=count * 3), rng.integers(3, size=count * 3)
    there = pool.boxes[rows, slots, 0] >= 0
    rows, slots = rows[there][:count], slots[there][:count]
    pixels, cells = [], []
    for row, box in zip(rows, pool.boxes[rows, slots].astype(float), strict=True):
        centre = np.array([box[1] + box[3], box[0] + box[2]]) / 2 / PATCH
        corner = np.round(centre - WINDOW / 2 + rng.uniform(-1.2, 1.2, 2))
        top, left = np.clip(corner, 0, GRID - WINDOW).astype(int)
        side = WINDOW * PATCH
        y, x = top * PATCH, left * PATCH
        pixels.append(pool.images[row, y : y + side, x : x + side])
        cells.append(((top + np.arange(WINDOW))[:, None] * GRID + left + np.arange(WINDOW)).ravel())
    numbers = np.stack(cells)
    labels = np.take_along_axis(pool.labels[rows], numbers, 1).astype(np.int64)
    return torch.from_numpy(np.stack(pixels)), torch.from_numpy(numbers), torch.from_numpy(labels)


def mirror(pixels: Tensor, labels: Tensor, side: int, rng: Generator) -> tuple[Tensor, Tensor]:
    """Mirror every other image with its labels; nothing we show has a handedness."""
    chosen = torch.rand(len(pixels), generator=rng) < 0.5
    flipped = labels.view(-1, side, side).flip(2).reshape(len(labels), -1)
    pixels = torch.where(chosen.view(-1, 1, 1, 1), pixels.flip(3), pixels)
    return pixels, torch.where(chosen.view(-1, 1), flipped, labels)


def patch_loss(
    scores: Float[Tensor, "n tokens classes"], labels: Int[Tensor, "n tokens"]
) -> Float[Tensor, ""]:
    """Cross-entropy over sure patches; background counts an eighth."""
    weight = torch.ones(BACKGROUND + 1)
    weight[BACKGROUND] = 0.125
    return F.cross_entropy(
        scores.flatten(0, 1), labels.flatten(), weight=weight, ignore_index=UNSURE
    )


@torch.no_grad()
def patch_accuracy(model: PatchClassifier, pool: Pool, images: int) -> tuple[float, float]:
    """Share of thing patches named right, and of background patches kept empty."""
    things, empty = [], []
    for start in range(0, images, 50):
        pixels = normalise(torch.from_numpy(np.array(pool.images[start : start + 50])))
        best = model(pixels)[0].argmax(-1).numpy()
        labels = pool.labels[start : start + 50]
        things.append((best == labels)[(labels >= 0) & (labels < BACKGROUND)])
        empty.append((best == labels)[labels == BACKGROUND])
    return float(np.concatenate(things).mean()), float(np.concatenate(empty).mean())


def train_vision(folder: Path) -> CLIPVisionModel:
    """Train the tower on the rendered pool and save it."""
    torch.manual_seed(SEED)
    train, validation = read_pool(folder / "train"), read_pool(folder / "validation")
    heldout = read_pool(folder / "heldout")
    model = PatchClassifier()

    def loss_of(step: int) -> Tensor:
        rng = np.random.default_rng((SEED, step))
        noise = Generator().manual_seed(SEED * 10**6 + step)
        share = 0.9 if step < WINDOWS_FIRST * STEPS else 0.3
        if rng.random() < share:
            pixels, cells, labels = draw_windows(train, WINDOWS, rng)
            pixels, labels = mirror(normalise(pixels), labels, WINDOW, noise)
            scores, _ = model(restyle(pixels, noise), cells)
            return patch_loss(scores, labels)
        rows = np.sort(rng.choice(len(train.labels), IMAGES, replace=False))
        pixels = normalise(torch.from_numpy(train.images[rows]))
        labels = torch.from_numpy(train.labels[rows].astype(np.int64))
        pixels, labels = mirror(pixels, labels, GRID, noise)
        scores, things = model(restyle(pixels, noise))
        present = image_labels(train.labels[rows])
        return patch_loss(scores, labels) + F.binary_cross_entropy_with_logits(things, present)

    def measure() -> dict[str, float]:
        things, empty = patch_accuracy(model, validation, 100)
        return {"things": things, "empty": empty, "new": patch_accuracy(model, heldout, 100)[0]}

    train_stage(
        "vision",
        model,
        Optimiser([(model, 1.2e-3)], STEPS, weight_decay=0.02),
        loss_of,
        folder,
        measure,
    )
    model.tower.save_pretrained(folder / "vision")
    return model.tower
