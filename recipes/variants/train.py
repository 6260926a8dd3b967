"""Train the variants: decoders on text, two towers on images, then connectors and decoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recipes.embedded.layout import embed_rows, erase, erased_cells, fit_visual
from recipes.embedded.loading import Batch, DevicePool, DeviceRows, lost_row, patch_owner
from recipes.embedded.losses import (
    ASKED_LAYER,
    NAMED_LAYER,
    Heads,
    answer_loss,
    lens_loss,
    looked_for,
    pointing_loss,
    word_loss,
)
from recipes.embedded.parts import CONTEXT, seeded, text_losses, tower_losses
from recipes.embedded.pool import THINGS
from recipes.embedded.rows import BEFORE
from recipes.embedded.training import Stage, train
from recipes.embedded.words import Words
from recipes.stack.connector import ConnectorKind
from recipes.stack.decoder import Decoder
from recipes.stack.optimise import Group, Optimiser, Optimisers
from recipes.stack.run import Passed, Runs, run_decoder
from recipes.stack.shape import PATCHES, Shape
from recipes.stack.tower import Tower
from recipes.variants.catalogue import TextKind
from recipes.variants.families import Family
from recipes.variants.features import Features, Towers
from retinoscope.data.scenes.classes import NAMES

ERASED = 0.4
"""Share of V11's images that lose a thing."""
LENS, POINTING = 0.3, 0.5
"""Weights of V10's lens and of V12's pointing."""
LENS_STATES = (4, 6, 8)
"""States of the residual stream that V10's lens reads."""
TOWER_SEED = 3
REGISTERS = 4


@dataclass(frozen=True)
class Sizes:
    """How much a step sees, for each model."""

    text: int = 24
    tower: int = 128
    images: int = 16


def train_texts(
    decoder: Decoder,
    trained: Sequence[tuple[TextKind, int]],
    sources: dict[TextKind, DeviceRows],
    sizes: Sizes,
    stage: Stage,
    runs: Runs,
) -> int:
    """Train decoders on text; models of one seed take documents of the same numbers.

    Returns:
        Number of steps.
    """
    optimiser = Optimiser([Group(decoder, 2.5e-3)])
    device = decoder.embed.device
    least = min(len(source) for source in sources.values())

    def step_of(step: int, progress: float) -> dict[str, Tensor]:
        numbers = {
            seed: (
                torch.rand(sizes.text, generator=seeded(device, 11, seed, step), device=device)
                * least
            ).long()
            for seed in {seed for _, seed in trained}
        }
        parts = [vars(sources[kind].take(numbers[seed])) for kind, seed in trained]
        batch = Batch(**{name: torch.stack([part[name] for part in parts]) for name in parts[0]})
        losses = text_losses(decoder, batch, runs)
        (losses["answers"] + CONTEXT * losses["contexts"]).sum().backward()
        optimiser.step(progress)
        return losses

    return train(stage, nn.ModuleDict({"decoder": decoder}), optimiser, step_of)


def make_towers(shape: Shape, with_registers: Shape, device: torch.device) -> Towers:
    """Draw the towers; they begin from the same weights but for the registers."""
    return Towers(
        Tower(shape, [TOWER_SEED]).to(device),
        Tower(with_registers, [TOWER_SEED]).to(device),
        Heads(shape, 1).to(device),
        Heads(with_registers, 1).to(device),
    )


def train_towers(towers: Towers, pool: DevicePool, sizes: Sizes, stage: Stage, runs: Runs) -> int:
    """Train both towers on the same images; return the number of steps."""
    pairs = {
        "plain": (towers.plain, towers.plain_heads),
        "registers": (towers.registers, towers.registers_heads),
    }
    optimisers = {
        name: Optimiser([Group(tower, 1.5e-3), Group(heads, 5e-3)])
        for name, (tower, heads) in pairs.items()
    }

    def step_of(step: int, progress: float) -> dict[str, Tensor]:
        if step % 10 == 0:
            pool.refresh(1)
        losses = {}
        for name, (tower, heads) in pairs.items():
            rng = seeded(pool.device, 12, step)
            losses[name] = tower_losses(tower, heads, pool, sizes.tower, rng, runs)
            losses[name].sum().backward()
            optimisers[name].step(progress)
        return losses

    return train(stage, nn.ModuleDict(vars(towers)), Optimisers(optimisers), step_of)


def patch_classes(words: Words, device: torch.device) -> Tensor:
    """Return the token of each class's name, and -1 behind them."""
    return torch.tensor([*(words.numbers[name] for name in NAMES), -1], device=device)


def patch_words(pool: DevicePool, images: Tensor, names: Tensor) -> Tensor:
    """Return the token of what each patch of images (n,) shows, -1 where that is nothing sure."""
    owner = patch_owner(pool.cover[images])
    kind = torch.gather(pool.things[images][..., 0].long(), 1, owner.clamp(0, THINGS - 1))
    return names[torch.where((owner >= 0) & (owner < THINGS), kind, len(NAMES))]


def train_on_images(
    families: dict[ConnectorKind, Family],
    pool: DevicePool,
    features: Features,
    names: Tensor,
    sizes: Sizes,
    stage: Stage,
    runs: tuple[Runs, Runs],
    measure: Callable[[float], None],
) -> int:
    """Train every family on the same images in the same steps.

    Args:
        families: all of them.
        pool: scenes to train on.
        features: what the towers see in them.
        names: token of each class.
        sizes: how much a step sees.
        stage: its budget and places.
        runs: how layers are run, in small families and in the one that holds most models.
        measure: called after every step with the progress.

    Returns:
        Number of steps.
    """
    optimisers = {}
    for kind, family in families.items():
        pace = (~family.flags("frozen")).float()
        groups = [Group(family.decoder, 1.2e-3, pace), Group(family.connector, 2e-3)]
        optimisers[kind] = Optimiser(groups)

    def step_of(step: int, progress: float) -> dict[str, Tensor]:
        shown = {}
        for kind, family in families.items():
            chosen = runs[kind == "patches"]
            losses = family_losses(family, pool, features, names, sizes, step, chosen)
            torch.stack([value.sum() for value in losses.values()]).sum().backward()
            optimisers[kind].step(progress)
            shown |= {f"{kind}_{name}": value for name, value in losses.items()}
        return shown

    modules = nn.ModuleDict({kind: family.modules() for kind, family in families.items()})
    return train(stage, modules, Optimisers(optimisers), step_of, measure)


def draw_rows(family: Family, pool: DevicePool, count: int, step: int) -> Batch:
    """Draw the rows of a step: models of one seed see the same images and questions."""
    drawn: dict[int, tuple[Tensor, Tensor]] = {}
    for seed in sorted({m.seed for m in family.members}):
        rng = seeded(pool.device, 14, seed, step)
        number = pool.draw((count,), 0.0, rng)
        gone = torch.rand(count, generator=rng, device=pool.device) < ERASED
        drawn[seed] = (number, torch.where(gone, lost_row(number), number))
    return pool.take(torch.stack([drawn[m.seed][int(m.variant.erased)] for m in family.members]))


def family_losses(
    family: Family,
    pool: DevicePool,
    features: Features,
    names: Tensor,
    sizes: Sizes,
    step: int,
    runs: Runs,
) -> dict[str, Tensor]:
    """Return the losses of a family's models: answers, and what some variants add."""
    batch = draw_rows(family, pool, sizes.images, step)
    visual = family.connector(features.of(family, batch).to(runs.dtype))
    if family.kind == "patches":
        visual = erase(visual, erased_cells(batch.erased))
    fitted = fit_visual(batch, family.tokens)
    inputs = embed_rows(family.decoder, fitted.tokens, visual)
    lens, pointing = family.which("lens"), family.which("pointing")
    passed = run_decoder(
        family.decoder,
        inputs,
        fitted.positions,
        fitted.blocks,
        runs,
        keep=LENS_STATES if len(lens) else (),
        watch=(NAMED_LAYER, ASKED_LAYER) if len(pointing) else (),
    )
    models, n, length, width = inputs.shape
    logits = family.decoder.unembed(passed.last.reshape(models, n * length, width))
    loss = word_loss(logits.view(models, n, length, -1), fitted.tokens)
    losses = {"answers": answer_loss(loss, fitted.answers)}
    if len(lens):
        losses["lens"] = LENS * _lens(family, passed, batch, pool, names, lens)
    if len(pointing):
        losses["pointing"] = POINTING * _pointing(passed, batch, pool, pointing)
    return losses


def _lens(
    family: Family, passed: Passed, batch: Batch, pool: DevicePool, names: Tensor, which: Tensor
) -> Tensor:
    images = batch.image[which]
    words = patch_words(pool, images.flatten(), names).view(*images.shape, PATCHES)
    logits = []
    for number in LENS_STATES:
        states = passed.states[number][which][:, :, BEFORE : BEFORE + PATCHES]
        read = family.decoder.unembed(states.flatten(1, 2), which)
        logits.append(read.view(*images.shape, PATCHES, -1))
    return lens_loss(logits, words)


def _pointing(passed: Passed, batch: Batch, pool: DevicePool, which: Tensor) -> Tensor:
    some = Batch(**{name: value[which] for name, value in vars(batch).items()}).flat()
    owner = patch_owner(pool.cover[some.image])
    models, n = len(batch.tokens), batch.tokens.shape[1]
    assert passed.rows is not None
    mask = passed.rows.mask.unflatten(0, (models, n))[which].flatten(0, 1)
    total = torch.zeros(len(which), device=pool.device)
    for layer, wanted in zip((NAMED_LAYER, ASKED_LAYER), looked_for(some, owner), strict=True):
        queries, keys = (
            each.unflatten(0, (models, n))[which].flatten(0, 1) for each in passed.seen[layer]
        )
        total = total + pointing_loss(queries, keys, mask, wanted, len(which))
    return total
