"""Train tower, projector and decoder together, from the pixels to the answer.

Until here the tower was fixed while the decoder learned. Its heads go on asking each patch about
the thing it belongs to; some erasing and a little text go on, so that what those stages taught is
kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from recipes.embedded.augment import normalise, restyle
from recipes.embedded.batches import Words, collate
from recipes.embedded.erasing import ask, erase_things
from recipes.embedded.joining import exchange_accuracy
from recipes.embedded.joint import PATCHES, Joint, compute_features, look
from recipes.embedded.language_model import draw_documents, lay_out, logits_of
from recipes.embedded.optimise import Optimiser
from recipes.embedded.pointing import looked_for, pointing_loss
from recipes.embedded.pool import Pool, read_pool
from recipes.embedded.text import make_tokenizer
from recipes.embedded.things import REPEATED, Heads, draw_weights, label_things
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
# What lagged behind at the end of `pointing`: counting, above all, and then places.
LAGGING = {**SHARES, "describe": 0.14, "poll": 0.11, "position": 0.22, "count": 0.2}
# What lagged behind at the end of `practice`: of two things it saw one in two cases of five.
COUNTING = {**SHARES, "describe": 0.14, "poll": 0.12, "position": 0.15, "relation": 0.15}
COUNTING |= {"count": 0.34}


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
        shares: of the kinds of question.
        repeated: how often images with several things of one class are drawn (see `things`).
        averaged: lessons whose ends are averaged, to begin from there.
    """

    name: str
    schedule: int
    steps: int
    decoder_rate: float
    pointing: float
    seed: int
    shares: dict[str, float] = field(default_factory=lambda: SHARES)
    repeated: float = REPEATED
    averaged: tuple[str, ...] = ()


# The first stops where questions about places go flat; looking at the right thing mends that.
LESSONS = (
    Lesson("together", 1900, 700, 1e-3, 0.0, 70),
    Lesson("pointing", 1000, 1000, 1e-3, 1.0, 80),
    Lesson("practice", 1300, 1300, 1e-3, 1.0, 90, LAGGING),
    Lesson("counting", 600, 600, 8e-4, 1.0, 100, COUNTING, 5.0),
    # The one saw too few of several things, the other too many; between them both see better.
    Lesson("settling", 400, 400, 5e-4, 1.0, 110, COUNTING, 2.5, ("practice", "counting")),
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
    words = Words(make_tokenizer())

    def measure() -> dict[str, float]:
        unseen = compute_features(joint.tower, validation, 200)
        return exchange_accuracy(joint, validation, unseen, words, 192)

    for lesson in LESSONS:
        torch.manual_seed(lesson.seed)
        chances = draw_weights(train, lesson.repeated)
        if lesson.averaged:
            model.load_state_dict(average(folder, lesson.averaged))

        def loss_of(step: int, lesson: Lesson = lesson, chances: np.ndarray = chances) -> Tensor:
            rng = np.random.default_rng((lesson.seed, step))
            if rng.random() < TEXT:
                return text_loss(joint, words, rng)
            rows = rng.choice(len(chances), ROWS, replace=False, p=chances)
            noise = Generator().manual_seed(lesson.seed * 10**6 + step)
            return image_loss(model, train, rows, words, lesson, rng, noise)

        rate = lesson.decoder_rate
        groups = [
            (joint.tower, 0.4 * rate),
            (joint.projector, rate),
            (joint.decoder, rate),
            (heads, 2 * rate),
        ]
        optimiser = Optimiser(groups, lesson.schedule)
        train_stage(lesson.name, model, optimiser, loss_of, folder, measure, lesson.steps)


def average(folder: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """The mean of the weights with which some lessons ended."""
    files = [folder / f"{name}.stage.pt" for name in names]
    ends = [torch.load(file, weights_only=True)["model"] for file in files]
    return {
        key: torch.stack([end[key] for end in ends]).mean(0) if value.is_floating_point() else value
        for key, value in ends[0].items()
    }


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
    lesson: Lesson,
    rng: np.random.Generator,
    noise: Generator,
) -> Float[Tensor, ""]:
    """The loss of a batch of images: answers, what the patches say, and where heads look."""
    half = ROWS // 2
    pixels = normalise(torch.from_numpy(pool.images[rows]))
    pixels = torch.cat([restyle(pixels[:half], noise), pixels[half:]])
    said, lost, erased = erase_things(pool, rows, rng, ERASED)
    asked = [
        ask(facts, gone, i < half, rng, lesson.shares)
        for i, (facts, gone) in enumerate(zip(said, lost, strict=True))
    ]
    batch = collate([words.context([words.image] * PATCHES)] * ROWS, asked, words)
    features = look(model.joint.tower, pixels)
    logits, attentions = model.joint.decode(features, batch, erased, attentions=lesson.pointing > 0)
    loss = batch.answer_loss(logits)
    loss = loss + 0.3 * model.heads.loss(features, label_things(pool, rows, half))
    if lesson.pointing:
        named, sought = looked_for(pool, rows, said, asked, batch)
        loss = loss + lesson.pointing * pointing_loss(attentions, named, sought)
    return loss
