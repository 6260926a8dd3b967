"""Train tower, projector and decoder together, from the pixels to the answer.

Until here the tower was fixed while the decoder learned. Its heads go on asking each patch about
the thing it belongs to; some erasing and a little text go on, so that what those stages taught is
kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

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
from recipes.embedded.pointing import looked_for, pointing_loss
from recipes.embedded.pool import Pool, read_pool
from recipes.embedded.text import make_tokenizer
from recipes.embedded.things import Heads, draw_weights, label_things
from recipes.embedded.training import train_stage

ROWS = 16
# Of all images so many lose a thing, and of all batches so many are rasters in words.
ERASED, TEXT = 0.3, 0.08
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


class Together(nn.Module):
    """The whole model and the heads on its tower."""

    def __init__(self, joint: Joint, heads: Heads) -> None:
        """Put a trained model and the heads of its tower together."""
        super().__init__()
        self.joint, self.heads = joint, heads


@dataclass(frozen=True)
class Lesson:
    """One stage of training everything.

    Attributes:
        name: names checkpoint and log.
        schedule: steps that the learning rates are planned for.
        steps: steps that are taken.
        decoder_rate: peak learning rate of projector and decoder; of the tower it is 0.4 of that.
        pointing: weight of the loss that says where to look, 0 for none.
        seed: of every batch.
    """

    name: str
    schedule: int
    steps: int
    decoder_rate: float
    pointing: float
    seed: int


# The first stops where questions about places go flat; looking at the right thing mends that.
LESSONS = (
    Lesson("together", 1900, 700, 1e-3, 0.0, 70),
    Lesson("pointing", 1000, 1000, 1e-3, 1.0, 80),
)


def train_together(joint: Joint, heads: Heads, folder: Path) -> None:
    """Train every part of the model at once.

    Args:
        joint: the model, its tower as `things` left it.
        heads: of the tower.
        folder: where pools and checkpoints lie.
    """
    joint.requires_grad_(True)
    model = Together(joint, heads)
    train, validation = read_pool(folder / "train"), read_pool(folder / "validation")
    words, chances = Words(make_tokenizer()), draw_weights(train)

    def measure() -> dict[str, float]:
        unseen = compute_features(joint.tower, validation, 200)
        return exchange_accuracy(joint, validation, unseen, words, 192)

    for lesson in LESSONS:
        torch.manual_seed(lesson.seed)

        def loss_of(step: int, lesson: Lesson = lesson) -> Tensor:
            rng = np.random.default_rng((lesson.seed, step))
            if rng.random() < TEXT:
                return text_loss(joint, words, rng)
            rows = rng.choice(len(chances), ROWS, replace=False, p=chances)
            noise = Generator().manual_seed(lesson.seed * 10**6 + step)
            return image_loss(model, train, rows, words, lesson.pointing, rng, noise)

        rate = lesson.decoder_rate
        groups = [
            (joint.tower, 0.4 * rate),
            (joint.projector, rate),
            (joint.decoder, rate),
            (heads, 2 * rate),
        ]
        optimiser = Optimiser(groups, lesson.schedule)
        train_stage(lesson.name, model, optimiser, loss_of, folder, measure, lesson.steps)


def text_loss(joint: Joint, words: Words, rng: np.random.Generator) -> Float[Tensor, ""]:
    """The loss of a batch of rasters in words, so that the decoder keeps refining them."""
    batch = lay_out(draw_documents(ROWS, True, rng), words)
    logits = logits_of(joint.decoder, batch)
    return batch.answer_loss(logits) + 0.5 * batch.context_loss(logits)


def image_loss(
    model: Together,
    pool: Pool,
    rows: np.ndarray,
    words: Words,
    pointing: float,
    rng: np.random.Generator,
    noise: Generator,
) -> Float[Tensor, ""]:
    """The loss of a batch of images: answers, what the patches say, and where heads look."""
    half = ROWS // 2
    pixels = normalise(torch.from_numpy(pool.images[rows]))
    pixels = torch.cat([restyle(pixels[:half], noise), pixels[half:]])
    said, lost, erased = erase_things(pool, rows, rng, ERASED)
    asked = [
        ask(facts, gone, i < half, rng, SHARES)
        for i, (facts, gone) in enumerate(zip(said, lost, strict=True))
    ]
    batch = collate([words.context([words.image] * PATCHES)] * ROWS, asked, words)
    features = look(model.joint.tower, pixels)
    logits, attentions = model.joint.decode(features, batch, erased, attentions=pointing > 0)
    loss = batch.answer_loss(logits)
    loss = loss + 0.3 * model.heads.loss(features, label_things(pool, rows, half))
    if pointing:
        named, sought = looked_for(pool, rows, said, asked, batch)
        loss = loss + pointing * pointing_loss(attentions, named, sought)
    return loss
