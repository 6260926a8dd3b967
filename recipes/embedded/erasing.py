"""Teach the decoder that a thing whose tokens say nothing is not there.

The tower spreads what it sees over all of its tokens, and a decoder that may read every one of
them half knows a thing whose own tokens are gone. So images lose a thing here: its tokens give way
to the mean visual token, and the image is asked about as if the thing were not there. This binds a
thing to the tokens at its place by training; it is a design choice, not a discovery.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from recipes.embedded.augment import normalise, restyle
from recipes.embedded.batches import Words, collate
from recipes.embedded.joining import EXCHANGES, SHARES, exchange_accuracy
from recipes.embedded.joint import PATCHES, Joint, compute_features, look
from recipes.embedded.optimise import Optimiser
from recipes.embedded.pool import GRID, PATCH, Pool, read_pool
from recipes.embedded.text import Exchange, exchanges, make_tokenizer
from recipes.embedded.training import train_stage
from retinoscope.data.scenes.language import Fact, poll_question

STEPS = 200
ROWS = 16
SHARE = 0.5
SEED = 50


def erase_things(
    pool: Pool, rows: np.ndarray, rng: np.random.Generator, share: float = SHARE
) -> tuple[list[list[Fact]], list[Fact | None], Bool[Tensor, "n 144"]]:
    """Choose things to erase in a share of the images.

    The tokens that go are those that the thing's box touches, for half of the things with one more
    all around.

    Args:
        pool: the scenes.
        rows: which of them.
        rng: source of every choice.
        share: of how many images.

    Returns:
        What is left to say of each image, the thing that went, and the tokens that give way.
    """
    said: list[list[Fact]] = []
    lost: list[Fact | None] = []
    erased = torch.zeros(len(rows), GRID, GRID, dtype=torch.bool)
    for image, row in enumerate(rows):
        facts = pool.facts[row]
        gone = int(rng.integers(len(facts))) if rng.random() < share else None
        said.append([fact for number, fact in enumerate(facts) if number != gone])
        lost.append(None if gone is None else facts[gone])
        if gone is not None:
            buffer = int(rng.integers(2))
            left, top, right, bottom = pool.boxes[row, gone].astype(int)
            first_row, first_column = max(0, top // PATCH - buffer), max(0, left // PATCH - buffer)
            past_row, past_column = -(-bottom // PATCH) + buffer, -(-right // PATCH) + buffer
            erased[image, first_row:past_row, first_column:past_column] = True
    return said, lost, erased.flatten(1)


def ask(
    facts: list[Fact],
    lost: Fact | None,
    restyled: bool,
    rng: np.random.Generator,
    shares: dict[str, float] = SHARES,
) -> tuple[Exchange, ...]:
    """Ask about what is left, and whether what is lost is there, which it is not.

    An image that lost its only thing is asked about that alone: there is nothing to describe.
    """
    denied = []
    if lost is not None and all(fact.name != lost.name for fact in facts):
        denied = [Exchange(poll_question(lost.name), "No", "poll")]
    if not facts:
        return tuple(denied)
    without = ("colour",) if restyled else ()
    rest = exchanges(facts, EXCHANGES - len(denied), rng, without, shares=shares)
    order = rng.permutation(len(rest) + len(denied))
    asked = [*denied, *rest]
    return tuple(asked[i] for i in order)


def train_erasing(joint: Joint, folder: Path, steps: int = STEPS) -> None:
    """Train projector and decoder on images of which half lost a thing; the tower is fixed.

    Args:
        joint: the model, trained on whole images.
        folder: where pools and checkpoints lie.
        steps: number of steps.
    """
    words = Words(make_tokenizer())
    train, validation = read_pool(folder / "train"), read_pool(folder / "validation")
    for parameter in joint.parameters():
        parameter.requires_grad_(False)
    for module in (joint.projector, joint.decoder):
        module.requires_grad_(True)
    unseen = compute_features(joint.tower, validation, 100)
    context = words.context([words.image] * PATCHES)

    def loss_of(step: int) -> Tensor:
        rng = np.random.default_rng((SEED, step))
        noise = Generator().manual_seed(SEED * 10**6 + step)
        rows = rng.choice(len(train.labels), ROWS, replace=False)
        pixels = normalise(torch.from_numpy(train.images[rows]))
        half = ROWS // 2
        pixels = torch.cat([restyle(pixels[:half], noise), pixels[half:]])
        said, lost, erased = erase_things(train, rows, rng)
        asked = [
            ask(s, gone, i < half, rng) for i, (s, gone) in enumerate(zip(said, lost, strict=True))
        ]
        batch = collate([context] * ROWS, asked, words)
        with torch.no_grad():
            features = look(joint.tower, pixels)
        return batch.answer_loss(joint(features, batch, erased))

    def measure() -> dict[str, float]:
        return exchange_accuracy(joint, validation, unseen, words)

    groups = [(joint.projector, 1e-3), (joint.decoder, 7e-4)]
    train_stage("erasing", joint, Optimiser(groups, steps), loss_of, folder, measure)
