"""Train tower, projector and decoder together, from the pixels to the answer.

Until here the tower was fixed while the decoder learned, so nothing told it what the questions
need: where a thing is, how many there are. Two heads keep each patch saying what stands in it and
where it is. Some erasing and a little text go on, so that what those stages taught is kept.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from recipes.embedded.architecture import WIDTH
from recipes.embedded.augment import normalise, restyle
from recipes.embedded.batches import Words, collate
from recipes.embedded.erasing import ask, erase_things
from recipes.embedded.joint import (
    PATCHES,
    Joint,
    compute_features,
    exchange_accuracy,
    look,
)
from recipes.embedded.language_model import draw_documents, lay_out, logits_of
from recipes.embedded.optimise import Optimiser
from recipes.embedded.places import place_loss
from recipes.embedded.pool import BACKGROUND, GRID, Pool, read_pool
from recipes.embedded.text import make_tokenizer
from recipes.embedded.training import train_stage
from recipes.embedded.vision import patch_loss

STEPS = 3000
ROWS = 16
# Of all images so many lose a thing, and of all batches so many are rasters in words.
ERASED, TEXT = 0.3, 0.08
# How often images of one thing, of several, and of several of one class are drawn: the first
# say nothing of relations, the last are the only ones that teach counting.
ONE, SEVERAL, REPEATED = 0.5, 1.0, 2.5
SHARES = {
    "describe": 0.17,
    "poll": 0.15,
    "position": 0.2,
    "relation": 0.2,
    "count": 0.14,
    "colour": 0.04,
    "where": 0.06,
    "kind": 0.04,
}
SEED = 60


class Together(nn.Module):
    """The whole model and two heads on the tower, which are dropped afterwards."""

    def __init__(self, joint: Joint) -> None:
        """Add new heads to a trained model."""
        super().__init__()
        self.joint = joint
        self.patch_head = nn.Linear(WIDTH, BACKGROUND + 1)
        self.place_head = nn.Linear(WIDTH, 2 * GRID)

    def tower_loss(
        self, features: Float[Tensor, "n 144 width"], labels: Tensor
    ) -> Float[Tensor, ""]:
        """Cross-entropy of what stands in each patch and of where it is."""
        places = self.place_head(features).unflatten(-1, (2, GRID))
        things = (labels >= 0) & (labels < BACKGROUND)
        return patch_loss(self.patch_head(features), labels) + 0.5 * place_loss(places, things)


def draw_weights(pool: Pool) -> Float[np.ndarray, " n"]:
    """Return the probability with which each image of a pool is drawn."""
    weights = []
    for facts in pool.facts:
        repeated = max(Counter(fact.name for fact in facts).values()) > 1
        weights.append(REPEATED if repeated else SEVERAL if len(facts) > 1 else ONE)
    return np.array(weights) / sum(weights)


def train_together(joint: Joint, folder: Path, steps: int = STEPS) -> None:
    """Train every part of the model at once.

    Args:
        joint: the model as `joint` and `erasing` left it.
        folder: where pools and checkpoints lie.
        steps: number of steps.
    """
    torch.manual_seed(SEED)
    words = Words(make_tokenizer())
    train, validation = read_pool(folder / "train"), read_pool(folder / "validation")
    joint.requires_grad_(True)
    model = Together(joint)
    chances = draw_weights(train)
    context = words.context([words.image] * PATCHES)

    def text_loss(rng: np.random.Generator) -> Tensor:
        batch = lay_out(draw_documents(ROWS, True, rng), words)
        logits = logits_of(joint.decoder, batch)
        return batch.answer_loss(logits) + 0.5 * batch.context_loss(logits)

    def loss_of(step: int) -> Tensor:
        rng = np.random.default_rng((SEED, step))
        noise = Generator().manual_seed(SEED * 10**6 + step)
        if rng.random() < TEXT:
            return text_loss(rng)
        rows = rng.choice(len(chances), ROWS, replace=False, p=chances)
        pixels = normalise(torch.from_numpy(train.images[rows]))
        half = ROWS // 2
        pixels = torch.cat([restyle(pixels[:half], noise), pixels[half:]])
        said, lost, erased = erase_things(train, rows, rng, ERASED)
        asked = [
            ask(facts, gone, i < half, rng, SHARES)
            for i, (facts, gone) in enumerate(zip(said, lost, strict=True))
        ]
        batch = collate([context] * ROWS, asked, words)
        features = look(joint.tower, pixels)
        labels = torch.from_numpy(train.labels[rows].astype(np.int64))
        answers = batch.answer_loss(joint(features, batch, erased))
        return answers + 0.3 * model.tower_loss(features, labels)

    def measure() -> dict[str, float]:
        unseen = compute_features(joint.tower, validation, 200)
        return exchange_accuracy(joint, validation, unseen, words, 192)

    groups = [
        (joint.tower, 5e-4),
        (joint.projector, 1e-3),
        (joint.decoder, 1e-3),
        (model.patch_head, 5e-3),
        (model.place_head, 5e-3),
    ]
    train_stage("together", model, Optimiser(groups, steps), loss_of, folder, measure)
