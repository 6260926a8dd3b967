"""Join tower and decoder: a projector first, then projector and decoder, twice over.

Between the two the tower learns to pass on where each patch is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from transformers import CLIPVisionModel, LlamaForCausalLM

from recipes.embedded.architecture import WIDTH
from recipes.embedded.augment import normalise, restyle
from recipes.embedded.batches import Batch, Words, collate
from recipes.embedded.joint import PATCHES, Joint, compute_features, look
from recipes.embedded.optimise import Optimiser
from recipes.embedded.places import train_places
from recipes.embedded.pool import Pool, read_pool
from recipes.embedded.text import exchanges, make_tokenizer
from recipes.embedded.training import train_stage
from recipes.embedded.vision import PatchClassifier

EXCHANGES = 10
ROWS = 16
CACHED = 12000
PROJECTOR_STEPS, PLACED_STEPS = 100, 320
# The second stage stops where questions about places go flat; `places` changes that.
DECODER_STEPS, DECODER_SCHEDULE = 300, 700
# Polls come easily once things are seen; relations are what takes long.
SHARES = {
    "describe": 0.16,
    "poll": 0.2,
    "position": 0.17,
    "relation": 0.2,
    "count": 0.1,
    "colour": 0.05,
    "where": 0.07,
    "kind": 0.05,
}
SEED = 30


def stored_features(folder: Path, name: str, count: int) -> Float[Tensor, "count 144 width"]:
    """Return the trained tower's features of a pool, computed once and kept beside it."""
    file = folder / f"{name}.features.pt"
    if not file.exists():
        tower = CLIPVisionModel.from_pretrained(folder / "vision")
        torch.save(compute_features(tower, read_pool(folder / name), count), file)
    return torch.load(file, weights_only=True)


def draw_batch(
    pool: Pool, rows: np.ndarray, words: Words, rng: np.random.Generator, restyled: int = 0
) -> Batch:
    """Make a batch of exchanges about images of a pool.

    Args:
        pool: the scenes.
        rows: which of them.
        words: token numbers.
        rng: source of every choice.
        restyled: so many of the first images have other colours than the pool says, and are not
            asked about them.
    """
    context = words.context([words.image] * PATCHES)
    asked = [
        exchanges(
            pool.facts[row], EXCHANGES, rng, ("colour",) if i < restyled else (), shares=SHARES
        )
        for i, row in enumerate(rows)
    ]
    return collate([context] * len(rows), asked, words)


def set_projector(joint: Joint, features: Tensor) -> None:
    """Start the projector so that visual tokens are about as long as word embeddings."""
    spread = features.float().std()
    embedding = joint.decoder.model.embed_tokens.weight.std()
    first, second = joint.projector.linear_1, joint.projector.linear_2
    with torch.no_grad():
        first.weight.normal_(0, float(WIDTH**-0.5 / spread))
        second.weight.normal_(0, float(1.5 * embedding * WIDTH**-0.5))
        first.bias.zero_()
        second.bias.zero_()


def train_on_features(
    name: str,
    joint: Joint,
    groups: list[tuple[nn.Module, float]],
    steps: int,
    train: tuple[Pool, Tensor],
    validation: tuple[Pool, Tensor],
    folder: Path,
    until: int | None = None,
) -> None:
    """Train parts of the model on features that were computed once.

    Args:
        name: name of the stage.
        joint: the model; only the modules in `groups` change.
        groups: (module, peak learning rate) pairs.
        steps: number of steps.
        train: pool and features to train on.
        validation: pool and features for the learning curve.
        folder: where checkpoints lie.
        until: stop after this many steps.
    """
    words = Words(make_tokenizer())
    chosen = {id(p) for module, _ in groups for p in module.parameters()}
    for parameter in joint.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    pool, features = train

    def loss_of(step: int) -> Tensor:
        rng = np.random.default_rng((SEED, len(name), step))
        rows = rng.choice(len(features), ROWS, replace=False)
        batch = draw_batch(pool, rows, words, rng)
        return batch.answer_loss(joint(features[rows].float(), batch))

    def measure() -> dict[str, float]:
        return exchange_accuracy(joint, validation[0], validation[1], words)

    train_stage(name, joint, Optimiser(groups, steps), loss_of, folder, measure, until)


def train_on_images(
    name: str,
    joint: Joint,
    groups: list[tuple[nn.Module, float]],
    steps: int,
    folder: Path,
) -> None:
    """Train projector and decoder on images, half of which are restyled; the tower is fixed.

    Args:
        name: name of the stage.
        joint: the model; only the modules in `groups` change.
        groups: (module, peak learning rate) pairs.
        steps: number of steps.
        folder: where pools and checkpoints lie.
    """
    words = Words(make_tokenizer())
    train, validation = read_pool(folder / "train"), read_pool(folder / "validation")
    chosen = {id(p) for module, _ in groups for p in module.parameters()}
    for parameter in joint.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    unseen = compute_features(joint.tower, validation, 100)

    def loss_of(step: int) -> Tensor:
        rng = np.random.default_rng((SEED, 0, step))
        noise = Generator().manual_seed(SEED * 10**6 + step)
        rows = rng.choice(len(train.labels), ROWS, replace=False)
        pixels = normalise(torch.from_numpy(train.images[rows]))
        half = ROWS // 2
        pixels = torch.cat([restyle(pixels[:half], noise), pixels[half:]])
        batch = draw_batch(train, rows, words, rng, restyled=half)
        with torch.no_grad():
            features = look(joint.tower, pixels)
        return batch.answer_loss(joint(features, batch))

    def measure() -> dict[str, float]:
        return exchange_accuracy(joint, validation, unseen, words)

    train_stage(name, joint, Optimiser(groups, steps), loss_of, folder, measure)


@torch.no_grad()
def exchange_accuracy(
    joint: Joint, pool: Pool, features: Tensor, words: Words, images: int = 96
) -> dict[str, float]:
    """Share of exchanges about images whose every answer token is the most likely one, by kind."""
    rng = np.random.default_rng((SEED, 10**9))
    right: dict[str, list[bool]] = {kind: [] for kind in SHARES if kind != "describe"}
    for start in range(0, images, ROWS):
        rows = np.arange(start, start + ROWS)
        asked = [exchanges(pool.facts[row], EXCHANGES, rng, ("describe",), SHARES) for row in rows]
        batch = collate([words.context([words.image] * PATCHES)] * ROWS, asked, words)
        best = joint(features[rows].float(), batch).argmax(-1)[:, :-1]
        wrong = (best != batch.targets[:, 1:]) & (batch.targets[:, 1:] >= 0)
        for row, row_exchanges in enumerate(asked):
            for number, exchange in enumerate(row_exchanges, 1):
                missed = wrong[row] & (batch.blocks[row, 1:] == number)
                right[exchange.kind].append(not bool(missed.any()))
    return {kind: float(np.mean(hits)) for kind, hits in right.items()}


def train_joint(folder: Path) -> Joint:
    """Join the trained tower and decoder.

    Args:
        folder: where pools, the trained parts and checkpoints lie.

    Returns:
        The model, ready to be exported.
    """
    torch.manual_seed(SEED)
    tower = CLIPVisionModel.from_pretrained(folder / "vision")
    decoder = LlamaForCausalLM.from_pretrained(folder / "language_model")
    decoder.set_attn_implementation("eager")
    joint = Joint(tower, decoder)
    train, validation = read_pool(folder / "train"), read_pool(folder / "validation")
    seen = (train, stored_features(folder, "train", CACHED))
    unseen = (validation, stored_features(folder, "validation", 100))
    set_projector(joint, unseen[1])
    projector = (joint.projector, 3e-3)
    train_on_features("projector", joint, [projector], PROJECTOR_STEPS, seen, unseen, folder)
    groups: list[tuple[nn.Module, float]] = [(joint.projector, 1.5e-3), (joint.decoder, 1e-3)]
    train_on_features(
        "decoder", joint, groups, DECODER_SCHEDULE, seen, unseen, folder, DECODER_STEPS
    )
    del seen
    seeing = PatchClassifier()
    state = torch.load(folder / "vision.stage.pt", weights_only=True)
    seeing.load_state_dict(state["model"])
    joint.tower.load_state_dict(train_places(seeing, folder).state_dict())
    groups = [(joint.projector, 2e-3), (joint.decoder, 1e-3)]
    train_on_images("placed", joint, groups, PLACED_STEPS, folder)
    return joint
