"""Train the parts on their own: towers to say what stands in each patch, decoders on text."""

from __future__ import annotations

import time

import torch
from torch import Generator, Tensor, nn

from recipes.embedded.augment import restyle
from recipes.embedded.loading import (
    Batch,
    DevicePool,
    DeviceRows,
    label_patches,
    present_classes,
)
from recipes.embedded.losses import Heads, answer_loss, context_loss, heads_loss, word_loss
from recipes.stack.decoder import Decoder
from recipes.stack.run import Runs, run_decoder
from recipes.stack.tower import Tower, look

START = time.monotonic()
CONTEXT = 0.5
"""Weight of the words of contexts against the answers."""


def show(
    pool: DevicePool, images: Tensor, free: Tensor, rng: Generator, dtype: torch.dtype
) -> Tensor:
    """Return normalised images (n, 3, 192, 192), most of them in another style.

    Args:
        pool: the scenes.
        images: which.
        free: of which the colours may change.
        rng: source of every choice.
        dtype: of the result.
    """
    return restyle(pool.images[images], pool.owners[images], free, rng, dtype)


def tower_losses(
    tower: Tower, heads: Heads, pool: DevicePool, count: int, rng: Generator, runs: Runs
) -> Tensor:
    """Return the loss of each tower on the same new images, half of which may be recoloured."""
    images = (torch.rand(count, generator=rng, device=pool.device) * pool.count).long()
    free = torch.arange(count, device=pool.device) % 2 == 0
    pixels = show(pool, images, free, rng, runs.dtype)
    models = tower.patch.shape[0]
    states = look(tower, pixels.expand(models, *pixels.shape), runs.tower)
    everyone = images.repeat(models)
    labels = label_patches(pool, everyone, free.repeat(models))
    return heads_loss(heads(states), labels, present_classes(pool.things[everyone]))


def text_losses(decoder: Decoder, batch: Batch, runs: Runs) -> dict[str, Tensor]:
    """Return the losses of the answers and of the contexts of rows of words."""
    inputs = decoder.words(batch.tokens, runs.dtype)
    passed = run_decoder(decoder, inputs, batch.positions, batch.blocks, runs)
    models, n, length, width = inputs.shape
    logits = decoder.unembed(passed.last.reshape(models, n * length, width))
    loss = word_loss(logits.view(models, n, length, -1), batch.tokens)
    return {
        "answers": answer_loss(loss, batch.answers),
        "contexts": context_loss(loss, batch.blocks),
    }


def draw_text(sources: list[DeviceRows], count: int, rng: Generator) -> Batch:
    """Draw rows for each model from its own source; models take rows of the same numbers."""
    least = min(len(source) for source in sources)
    which = (torch.rand(count, generator=rng, device=rng.device) * least).long()
    taken: dict[int, Batch] = {}
    for source in sources:
        taken.setdefault(id(source), source.take(which))
    parts = [vars(taken[id(source)]) for source in sources]
    return Batch(**{name: torch.stack([part[name] for part in parts]) for name in parts[0]})


def seeded(device: torch.device, *numbers: int) -> Generator:
    """Return a generator that follows from some numbers."""
    rng = Generator(device=device)
    seed = 0
    for number in numbers:
        seed = (seed * 1_000_003 + number + 1) % (2**62)
    return rng.manual_seed(seed)


def show_time(what: str) -> None:
    """Print that something is done, and when."""
    print(f"{time.monotonic() - START:.1f}s since the start: {what}", flush=True)


def group(**modules: nn.Module) -> nn.ModuleDict:
    """Put modules together for a checkpoint."""
    return nn.ModuleDict(modules)
