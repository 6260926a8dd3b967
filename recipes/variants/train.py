"""Train the variants: decoders on text, then connectors and decoders on images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.embedded.layout import embed_rows, erase, erased_cells, fit_visual
from recipes.embedded.loading import Batch, DevicePool, DeviceRows, lost_row, patch_owner
from recipes.embedded.losses import (
    ASKED_LAYER,
    NAMED_LAYER,
    answer_loss,
    context_loss,
    lens_loss,
    looked_for,
    pointing_loss,
    word_loss,
)
from recipes.embedded.parts import CONTEXT, seeded, text_losses
from recipes.embedded.pool import THINGS
from recipes.embedded.rows import BEFORE, PADDING
from recipes.embedded.training import Stage, train
from recipes.embedded.words import Words
from recipes.stack.connector import ConnectorKind
from recipes.stack.decoder import Decoder
from recipes.stack.optimise import Group, Optimiser, Optimisers
from recipes.stack.run import Passed, Runs, run_decoder
from recipes.stack.shape import PATCHES
from recipes.variants.catalogue import TextKind
from recipes.variants.families import Family
from recipes.variants.features import Features
from retinoscope.data.scenes.classes import NAMES

ERASED = 0.4
"""Share of V11's images that lose a thing."""
LENS, POINTING = 0.3, 0.5
"""Weights of V10's lens and of V12's pointing."""
LENS_STATES = (4, 6, 8)
"""States of the residual stream that V10's lens reads."""


@dataclass(frozen=True)
class Sizes:
    """How much a step sees, for each model.

    Attributes:
        text: documents of the first stage.
        images: scenes of the second.
        words: documents of the second, without which the first would be forgotten.
    """

    text: int = 24
    images: int = 16
    words: int = 2


@dataclass(frozen=True)
class Source:
    """What steps on images are drawn from.

    Attributes:
        pool: scenes to train on.
        features: what the tower sees in them.
        texts: documents, by kind.
        names: token of each class.
    """

    pool: DevicePool
    features: Features
    texts: dict[TextKind, DeviceRows]
    names: Tensor


def train_texts(
    decoder: Decoder,
    trained: Sequence[tuple[TextKind, int]],
    sources: dict[TextKind, DeviceRows],
    sizes: Sizes,
    stage: Stage,
    runs: Runs,
    meanwhile: Callable[[float], object],
) -> int:
    """Train decoders on text; models of one seed take documents of the same numbers.

    Args:
        decoder: the stack.
        trained: kind of text and seed of each of its models.
        sources: documents, by kind.
        sizes: how much a step sees.
        stage: its budget and places.
        runs: how layers are run.
        meanwhile: called after every step with the progress.

    Returns:
        Number of steps.
    """
    optimiser = Optimiser([Group(decoder, 2.5e-3)])

    def step_of(step: int, progress: float) -> dict[str, Tensor]:
        batch = draw_documents(trained, sources, sizes.text, decoder.embed.device, 11, step)
        losses = text_losses(decoder, batch, runs)
        (losses["answers"] + CONTEXT * losses["contexts"]).sum().backward()
        optimiser.step(progress)
        return losses

    return train(stage, nn.ModuleDict({"decoder": decoder}), optimiser, step_of, meanwhile)


def draw_documents(
    wanted: Sequence[tuple[TextKind, int]],
    sources: dict[TextKind, DeviceRows],
    count: int,
    device: torch.device,
    *numbers: int,
) -> Batch:
    """Draw rows of words: models of one seed take documents of the same numbers.

    Args:
        wanted: kind of text and seed of each model; of "none" any kind is drawn.
        sources: documents, by kind.
        count: rows of each model.
        device: where.
        numbers: what the choice follows from, besides the seed.
    """
    least = min(len(source) for source in sources.values())
    chosen = {
        seed: (torch.rand(count, generator=seeded(device, *numbers, seed), device=device) * least)
        for seed in {seed for _, seed in wanted}
    }
    some = next(iter(sources))
    parts = [
        vars(sources[some if kind == "none" else kind].take(chosen[seed].long()))
        for kind, seed in wanted
    ]
    return Batch(**{name: torch.stack([part[name] for part in parts]) for name in parts[0]})


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
    source: Source,
    sizes: Sizes,
    stage: Stage,
    runs: tuple[Runs, Runs],
    measure: Callable[[float], None],
) -> int:
    """Train every family on the same images in the same steps.

    Args:
        families: all of them.
        source: what is drawn from.
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
            losses = family_losses(family, source, sizes, step, chosen)
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


def draw_words(family: Family, texts: dict[TextKind, DeviceRows], count: int, step: int) -> Batch:
    """Draw the documents of a step; those that never saw text are asked nothing about theirs."""
    wanted: list[tuple[TextKind, int]] = [(m.variant.text, m.seed) for m in family.members]
    drawn = draw_documents(wanted, texts, count, family.decoder.embed.device, 15, step)
    told = torch.tensor([kind != "none" for kind, _ in wanted], device=drawn.answers.device)
    return replace(drawn, answers=drawn.answers * told[:, None, None])


def family_losses(
    family: Family, source: Source, sizes: Sizes, step: int, runs: Runs
) -> dict[str, Tensor]:
    """Return the losses of a family's models: answers, contexts, and what some variants add."""
    pool = source.pool
    batch = draw_rows(family, pool, sizes.images, step)
    visual = family.connector(source.features.of(family, batch).to(runs.dtype))
    if family.kind == "patches":
        visual = erase(visual, erased_cells(batch.erased))
    words = draw_words(family, source.texts, sizes.words, step)
    fitted = _padded(fit_visual(batch, family.tokens), words.tokens.shape[-1])
    both = Batch(**{k: torch.cat([vars(fitted)[k], vars(words)[k]], 1) for k in vars(words)})
    inputs = embed_rows(family.decoder, both.tokens, visual)
    lens, pointing = family.which("lens"), family.which("pointing")
    passed = run_decoder(
        family.decoder,
        inputs,
        both.positions,
        both.blocks,
        runs,
        keep=LENS_STATES if len(lens) else (),
        watch=(NAMED_LAYER, ASKED_LAYER) if len(pointing) else (),
    )
    models, n, length, width = inputs.shape
    logits = family.decoder.unembed(passed.last.reshape(models, n * length, width))
    loss = word_loss(logits.view(models, n, length, -1), both.tokens)
    told = torch.tensor([m.variant.text != "none" for m in family.members], device=loss.device)
    contexts = context_loss(loss[:, sizes.images :], words.blocks)
    losses = {"answers": answer_loss(loss, both.answers), "contexts": CONTEXT * told * contexts}
    if len(lens):
        losses["lens"] = LENS * _lens(family, passed, batch, source, lens)
    if len(pointing):
        losses["pointing"] = POINTING * _pointing(passed, batch, pool, pointing)
    return losses


def _padded(batch: Batch, length: int) -> Batch:
    """Rows with so many tokens, those at their end for nothing."""
    fills = {"tokens": 0, "positions": 0, "blocks": PADDING, "answers": 0}
    missing = length - batch.tokens.shape[-1]
    return replace(
        batch,
        **{name: F.pad(getattr(batch, name), (0, missing), value=v) for name, v in fills.items()},
    )


def _lens(family: Family, passed: Passed, batch: Batch, source: Source, which: Tensor) -> Tensor:
    images = batch.image[which]
    words = patch_words(source.pool, images.flatten(), source.names).view(*images.shape, PATCHES)
    logits = []
    for number in LENS_STATES:
        states = passed.states[number][which][:, : images.shape[1], BEFORE : BEFORE + PATCHES]
        read = family.decoder.unembed(states.flatten(1, 2), which)
        logits.append(read.view(*images.shape, PATCHES, -1))
    return lens_loss(logits, words)


def _pointing(passed: Passed, batch: Batch, pool: DevicePool, which: Tensor) -> Tensor:
    some = Batch(**{name: value[which] for name, value in vars(batch).items()}).flat()
    owner = patch_owner(pool.cover[some.image])
    models, images = batch.tokens.shape[:2]
    assert passed.rows is not None

    def of(rows: Tensor) -> Tensor:
        """Rows about images of the models that are shown where to look."""
        return rows.unflatten(0, (models, -1))[which, :images].flatten(0, 1)

    total = torch.zeros(len(which), device=pool.device)
    for layer, wanted in zip((NAMED_LAYER, ASKED_LAYER), looked_for(some, owner), strict=True):
        queries, keys = (of(each) for each in passed.seen[layer])
        mask = of(passed.rows.mask)
        total = total + pointing_loss(queries, keys, mask, wanted, len(which))
    return total
