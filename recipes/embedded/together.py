"""Train everything at once, from the pixels to the answer: the reference and the pointed model.

Both begin from the same parts and see the same images. The pointed model alone also sees images
that lost a thing, and is shown where to look; the reference goes down answers, what patches say
and text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recipes.embedded.layout import embed_rows, erase, erased_cells
from recipes.embedded.loading import (
    Batch,
    DevicePool,
    DeviceRows,
    label_patches,
    lost_row,
    patch_owner,
    present_classes,
)
from recipes.embedded.losses import (
    ASKED_LAYER,
    NAMED_LAYER,
    Heads,
    answer_loss,
    context_loss,
    heads_loss,
    looked_for,
    pointing_loss,
    word_loss,
)
from recipes.embedded.parts import (
    CONTEXT,
    draw_text,
    group,
    seeded,
    show,
    text_losses,
    tower_losses,
)
from recipes.embedded.training import Average, Stage, train
from recipes.stack.connector import Connector
from recipes.stack.decoder import Decoder
from recipes.stack.optimise import Group, Optimiser
from recipes.stack.run import Runs, run_decoder
from recipes.stack.shape import Shape
from recipes.stack.tower import Tower, look

MODELS = ("pointed", "reference")
SEED = 7
ERASED = 0.3
"""Share of the pointed model's images that lose a thing."""
HEADS, POINTING = 0.3, 0.5
"""Weights of what patches say and of where heads look."""
AT_ONCE = 4
"""Images of so many steps are styled at once: small kernels cost the same for more of them."""


@dataclass(frozen=True)
class Sizes:
    """How much a step sees.

    Attributes:
        tower: images of the first stage.
        text: rows of words of the first stage.
        images: images of the second stage, of each model.
        words: rows of words of the second stage, of each model.
    """

    tower: int = 192
    text: int = 80
    images: int = 80
    words: int = 10


@dataclass(frozen=True)
class Whole:
    """Everything that is trained.

    Attributes:
        tower, heads, connector, decoder: stacks of as many models.
    """

    tower: Tower
    heads: Heads
    connector: Connector
    decoder: Decoder

    def modules(self) -> nn.ModuleDict:
        """Return the parts for a checkpoint."""
        return group(**vars(self))


def embedded_shape(vocabulary: int) -> Shape:
    """Return the shape of both models."""
    return Shape(192, 6, 8, 768, 8, 512, vocabulary)


def make_whole(shape: Shape, models: int, device: torch.device) -> Whole:
    """Draw the weights of some models that begin alike."""
    seeds = [SEED] * models
    return Whole(
        Tower(shape, seeds).to(device),
        Heads(shape, models).to(device),
        Connector(shape, seeds, "patches", [False] * models).to(device),
        Decoder(shape, seeds).to(device),
    )


def train_parts(
    whole: Whole, pool: DevicePool, text: DeviceRows, sizes: Sizes, stage: Stage, runs: Runs
) -> None:
    """Train a tower on images and a decoder on text, side by side."""
    groups = [
        Group(whole.tower, 1.5e-3),
        Group(whole.heads, 5e-3),
        Group(whole.decoder, 2.5e-3),
    ]
    optimiser = Optimiser(groups)

    def step_of(step: int, progress: float) -> dict[str, Tensor]:
        if step % 10 == 0:
            pool.refresh(1)
        rng = seeded(pool.device, SEED, 1, step)
        seen = tower_losses(whole.tower, whole.heads, pool, sizes.tower, rng, runs)
        told = text_losses(whole.decoder, draw_text([text], sizes.text, rng), runs)
        (seen + told["answers"] + CONTEXT * told["contexts"]).sum().backward()
        optimiser.step(progress)
        return {"patches": seen, **told}

    train(stage, whole.modules(), optimiser, step_of)


@torch.no_grad()
def fork(one: Whole, both: Whole) -> None:
    """Begin every model of a stack from the parts of one."""
    for module, source in zip(vars(both).values(), vars(one).values(), strict=True):
        for target, value in zip(module.parameters(), source.parameters(), strict=True):
            target.copy_(value.expand_as(target))


def train_together(
    whole: Whole,
    pool: DevicePool,
    text: DeviceRows,
    sizes: Sizes,
    stage: Stage,
    runs: Runs,
    write: Callable[[], None],
) -> int:
    """Train both models, and leave them with the running mean of their weights.

    Args:
        whole: a stack of both.
        pool: scenes to train on.
        text: rows of words.
        sizes: how much a step sees.
        stage: its budget and places.
        runs: how layers are run.
        write: called at half and at four fifths of the way, so that not all is lost where the
            end is never reached.

    Returns:
        Number of steps.
    """
    groups = [
        Group(whole.tower, 6e-4),
        Group(whole.heads, 2e-3),
        Group(whole.connector, 1.5e-3),
        Group(whole.decoder, 1.2e-3),
    ]
    optimiser = Optimiser(groups)
    modules = whole.modules()
    average = Average(modules)
    stream = Stream(pool, sizes.images, runs)

    def step_of(step: int, progress: float) -> dict[str, Tensor]:
        if step % 10 == 0:
            pool.refresh(1)
        losses = image_losses(whole, stream, text, sizes.words, step, runs)
        total = losses["answers"] + HEADS * losses["patches"] + CONTEXT * losses["contexts"]
        # Where to look is shown to the first model alone.
        (total.sum() + POINTING * losses["pointing"].sum()).backward()
        optimiser.step(progress)
        average.update(step)
        return losses

    left = [0.5, 0.8]

    def save(progress: float) -> None:
        if left and progress >= left[0]:
            left.pop(0)
            write()

    saved = nn.ModuleDict({**modules, "average": average})
    steps = train(stage, saved, optimiser, step_of, save)
    average.settle()
    return steps


class Stream:
    """The images of each step with the rows about them, drawn and styled for several at once.

    What a step sees follows from its number alone, as long as the pool is full.
    """

    def __init__(self, pool: DevicePool, count: int, runs: Runs) -> None:
        """Begin with none.

        Args:
            pool: scenes.
            count: images of a step.
            runs: says what numbers pixels are.
        """
        self.pool, self.count, self.dtype, self.block = pool, count, runs.dtype, -1

    def at(self, step: int) -> tuple[Batch, Tensor]:
        """Return the rows of both models, (models, n), and the images, (n, 3, 192, 192)."""
        if self.block != step // AT_ONCE:
            self.block = step // AT_ONCE
            self._draw()
        part = slice(step % AT_ONCE * self.count, (step % AT_ONCE + 1) * self.count)
        rows = {name: value[:, part] for name, value in vars(self.rows).items()}
        return Batch(**rows), self.pixels[part]

    def _draw(self) -> None:
        count, device = self.count * AT_ONCE, self.pool.device
        rng = seeded(device, SEED, 2, self.block)
        number = self.pool.draw((count,), 0.0, rng)
        # The first model's rows are others where a thing is lost; the images are the same.
        gone = torch.rand(count, generator=rng, device=device) < ERASED
        chosen = torch.stack([torch.where(gone, lost_row(number), number), number])
        self.rows = self.pool.take(chosen)
        free = self.rows.restyled[0].bool()
        self.pixels = show(self.pool, self.rows.image[0], free, rng, self.dtype)


def image_losses(
    whole: Whole, stream: Stream, text: DeviceRows, words_count: int, step: int, runs: Runs
) -> dict[str, Tensor]:
    """Return the losses of both models on the same images and words."""
    models, pool = len(MODELS), stream.pool
    rows, pixels = stream.at(step)
    words = draw_text([text] * models, words_count, seeded(pool.device, SEED, 3, step))
    free = rows.restyled[0].bool()
    states = look(whole.tower, pixels.expand(models, *pixels.shape), runs.tower)
    labels = label_patches(pool, rows.image.flatten(), free.repeat(models))
    present = present_classes(pool.things[rows.image.flatten()])
    losses = {"patches": heads_loss(whole.heads(states), labels, present)}
    visual = erase(whole.connector(states), erased_cells(rows.erased))
    both = {k: torch.cat([vars(rows)[k], vars(words)[k]], 1) for k in vars(rows)}
    batch = Batch(**both)
    inputs = embed_rows(whole.decoder, batch.tokens, visual)
    passed = run_decoder(
        whole.decoder,
        inputs,
        batch.positions,
        batch.blocks,
        runs,
        watch=(NAMED_LAYER, ASKED_LAYER),
    )
    count, length, width = inputs.shape[1:]
    logits = whole.decoder.unembed(passed.last.reshape(models, count * length, width))
    loss = word_loss(logits.view(models, count, length, -1), batch.tokens)
    losses["answers"] = answer_loss(loss, batch.answers)
    losses["contexts"] = context_loss(loss[:, stream.count :], words.blocks)
    losses["pointing"] = _pointing(passed, rows, pool, stream.count)
    return losses


def _pointing(passed, rows: Batch, pool: DevicePool, images: int) -> Tensor:
    """Where the first model's heads look, over its rows about images."""
    first = Batch(**{name: value[0] for name, value in vars(rows).items()})
    owner = patch_owner(pool.cover[first.image])
    total = torch.zeros(1, device=pool.device)
    for layer, wanted in zip((NAMED_LAYER, ASKED_LAYER), looked_for(first, owner), strict=True):
        queries, keys = (each[:images] for each in passed.seen[layer])
        total = total + pointing_loss(queries, keys, passed.rows.mask[:images], wanted, 1)
    return total
