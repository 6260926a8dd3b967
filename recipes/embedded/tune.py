"""Train the reference further, with one thing more asked: `python -m recipes.embedded.tune`.

The tower stays as it is. All arms begin from the same weights, see the same images and words, so
that what differs is what else is asked of them: to deny things whose tokens are gone, to look where
the question points, to look at the image in the last layers alone, or more about colours.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from recipes.embedded.asking import COLOURED, KINDS
from recipes.embedded.export import export, read_weights
from recipes.embedded.layout import embed_rows, erase, erased_cells
from recipes.embedded.loading import Batch, DevicePool, DeviceRows, lost_row, patch_owner
from recipes.embedded.losses import (
    ASKED_LAYER,
    NAMED_LAYER,
    answer_loss,
    answering,
    context_loss,
    looked_for,
    looking_loss,
    pointing_loss,
    word_loss,
)
from recipes.embedded.parts import CONTEXT, draw_text, group, seeded, show
from recipes.embedded.pool import ROWS_OF_IMAGE, WHOLE
from recipes.embedded.render import read_text, read_words
from recipes.embedded.together import ERASED, SEED, embedded_shape
from recipes.embedded.training import Budget, Stage, train
from recipes.stack.connector import Connector
from recipes.stack.decoder import Decoder
from recipes.stack.optimise import Group, Optimiser
from recipes.stack.packing import keep_bits
from recipes.stack.run import Passed, Runs, run_decoder
from recipes.stack.shape import Shape
from recipes.stack.tower import Tower, look
from recipes.stack.unstack import (
    connector_weights,
    decoder_weights,
    put_weights,
    tower_weights,
)
from retinoscope.shipped import embedded_folder

CONNECTOR_RATE, DECODER_RATE = 3e-4, 5e-4
"""Peak learning rates, less than half of those that the reference was trained with."""
FIRST_LOOK = 5
"""The first layer in which the answers of an arm with `late` may look at the image."""
KEPT_BITS = 8


@dataclass(frozen=True)
class Arm:
    """What is asked of a model besides its answers.

    Attributes:
        erased: share of its images that lose a thing.
        pointing: weight of heads looking where the question points, in layers 3 and 5.
        late: weight of answers not looking at the image before `FIRST_LOOK`.
        colours: so much likelier a row is drawn for each of its exchanges about a colour.
    """

    erased: float = 0.0
    pointing: float = 0.0
    late: float = 0.0
    colours: float = 0.0


ARMS = {
    "longer": Arm(),
    "erasing": Arm(erased=ERASED),
    "pointing": Arm(pointing=0.25),
    "late": Arm(late=0.5),
    "colours": Arm(colours=0.5),
}


@dataclass(frozen=True)
class Model:
    """Stacks of one model; the tower is not trained."""

    tower: Tower
    connector: Connector
    decoder: Decoder


@dataclass(frozen=True)
class Source:
    """What steps are drawn from.

    Attributes:
        pool: scenes with the rows about them.
        text: rows of words.
        images: scenes of a step.
        words: rows of words of a step.
        odds: how likely each row about images is drawn, see `odds_of`.
    """

    pool: DevicePool
    text: DeviceRows
    images: int
    words: int
    odds: Float[Tensor, " rows"]


def odds_of(pool: DevicePool, arm: Arm) -> Float[Tensor, " rows"]:
    """Return how likely each row is drawn; those with a thing erased never are.

    Args:
        pool: full.
        arm: says how much likelier rows with exchanges about colours are.
    """
    rows = torch.arange(pool.count * len(ROWS_OF_IMAGE), device=pool.device)
    coloured = torch.tensor([KINDS.index(kind) for kind in COLOURED], device=pool.device)
    about = torch.isin(pool.take(rows).kinds, coloured).sum(-1)
    return torch.where(rows % len(ROWS_OF_IMAGE) < WHOLE, 1 + arm.colours * about, 0.0)


def begin(shape: Shape, weights: dict[str, Tensor]) -> Model:
    """Return a model with the weights of an exported one, see `export.read_weights`."""
    model = Model(
        Tower(shape, [SEED]),
        Connector(shape, [SEED], "patches", [False]),
        Decoder(shape, [SEED]),
    )
    for part, stack in vars(model).items():
        own = {k.split("/", 1)[1]: w.float() for k, w in weights.items() if k.startswith(part)}
        put_weights(stack, 0, own)
    model.tower.requires_grad_(False)
    return model


def finish(model: Model) -> dict[str, Tensor]:
    """Return a model's weights, rounded as they are exported."""
    parts = {
        "tower": tower_weights(model.tower, 0),
        "connector": connector_weights(model.connector, 0),
        "decoder": decoder_weights(model.decoder, 0),
    }
    return {
        f"{part}/{key}": keep_bits(weight, KEPT_BITS)
        for part, held in parts.items()
        for key, weight in held.items()
    }


def mix(before: dict[str, Tensor], after: dict[str, Tensor], kept: float) -> dict[str, Tensor]:
    """Return the mean of two models' weights, rounded as they are exported.

    Between a model and what a further training made of it the loss hardly rises, so that the mean
    keeps what the first knew (Wortsman et al., arXiv 2109.01903).

    Args:
        before: weights by name.
        after: of the same names.
        kept: weight of `before`, 0 to 1.
    """
    return {
        name: keep_bits(kept * before[name].float() + (1 - kept) * weight, KEPT_BITS)
        for name, weight in after.items()
    }


def losses_of(model: Model, arm: Arm, source: Source, step: int, runs: Runs) -> dict[str, Tensor]:
    """Return the losses of an arm at a step, whose images follow from its number alone."""
    pool = source.pool
    rng = seeded(pool.device, SEED, 4, step)
    number = torch.multinomial(source.odds, source.images, generator=rng)
    gone = torch.rand(source.images, generator=rng, device=pool.device) < arm.erased
    rows = pool.take(torch.where(gone, lost_row(number), number)[None])
    pixels = show(pool, rows.image[0], rows.restyled[0].bool(), rng, runs.dtype)
    visual = model.connector(look(model.tower, pixels[None], runs.tower))
    visual = erase(visual, erased_cells(rows.erased))
    words = draw_text([source.text], source.words, rng)
    batch = Batch(**{k: torch.cat([vars(rows)[k], vars(words)[k]], 1) for k in vars(rows)})
    inputs = embed_rows(model.decoder, batch.tokens, visual)
    watched = range(max(FIRST_LOOK, ASKED_LAYER + 1))
    passed = run_decoder(model.decoder, inputs, batch.positions, batch.blocks, runs, watch=watched)
    logits = model.decoder.unembed(passed.last.flatten(1, 2)).unflatten(1, inputs.shape[1:3])
    loss = word_loss(logits, batch.tokens)
    told = Batch(**{name: value[0] for name, value in vars(rows).items()})
    losses = {
        "answers": answer_loss(loss, batch.answers),
        "contexts": context_loss(loss[:, source.images :], words.blocks),
    }
    if arm.pointing:
        losses["pointing"] = _pointing(passed, told, pool)
    if arm.late:
        losses["late"] = _late(passed, told)
    return losses


def _pointing(passed: Passed, rows: Batch, pool: DevicePool) -> Tensor:
    """How little heads look at the things that questions name, and at those they ask for."""
    wanted = looked_for(rows, patch_owner(pool.cover[rows.image]))
    total = torch.zeros(1, device=pool.device)
    for layer, where in zip((NAMED_LAYER, ASKED_LAYER), wanted, strict=True):
        queries, keys, mask = _attention(passed, layer, len(rows.image))
        total = total + pointing_loss(queries, keys, mask, where, 1)
    return total


def _late(passed: Passed, rows: Batch) -> Tensor:
    """Attention that answers give to the image, summed over the layers before `FIRST_LOOK`."""
    at = answering(rows)
    total = torch.zeros(1, device=at.device)
    for layer in range(FIRST_LOOK):
        queries, keys, mask = _attention(passed, layer, len(rows.image))
        total = total + looking_loss(queries, keys, mask, at)
    return total


def _attention(passed: Passed, layer: int, images: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and mask of a layer in the rows about images, which come first."""
    assert passed.rows is not None
    queries, keys = passed.seen[layer]
    return queries[:images], keys[:images], passed.rows.mask[:images]


def tune(model: Model, arm: Arm, source: Source, stage: Stage, runs: Runs) -> None:
    """Train a model to the end of a stage, going on from its checkpoint if there is one."""
    optimiser = Optimiser(
        [Group(model.connector, CONNECTOR_RATE), Group(model.decoder, DECODER_RATE)]
    )

    def step_of(step: int, progress: float) -> dict[str, Tensor]:
        losses = losses_of(model, arm, source, step, runs)
        weights = {"answers": 1.0, "contexts": CONTEXT, "pointing": arm.pointing, "late": arm.late}
        torch.stack([weights[name] * loss.sum() for name, loss in losses.items()]).sum().backward()
        optimiser.step(progress)
        return losses

    train(stage, group(connector=model.connector, decoder=model.decoder), optimiser, step_of)


def main() -> None:
    """Train one arm from the embedded model's weights, and export it."""
    parser = argparse.ArgumentParser(prog="python -m recipes.embedded.tune", description=__doc__)
    parser.add_argument("arm", choices=ARMS)
    parser.add_argument("--work", type=Path, required=True, help="of recipes.embedded.render")
    parser.add_argument("--target", type=Path, required=True, help="where the model is exported")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--kept", type=float, default=0.0, help="of the weights before, 0 to 1")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--words", type=int, default=2)
    parser.add_argument("--capacity", type=int, default=4000, help="scenes to train on")
    parser.add_argument("--texts", type=int, default=4000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    device, words = torch.device("cpu"), read_words(given.work)
    text = DeviceRows(device)
    text.add(read_text(given.work, "raster", given.texts))
    pool = DevicePool(given.work / "train", given.capacity, device)
    pool.refresh(given.capacity)
    shape = embedded_shape(len(words.vocabulary))
    before = read_weights(embedded_folder())
    model = begin(shape, before)
    places = given.work / "tune" / given.arm
    stage = Stage("tune", Budget(float("inf"), given.steps), places, places)
    arm = ARMS[given.arm]
    source = Source(pool, text, given.images, given.words, odds_of(pool, arm))
    tune(model, arm, source, stage, Runs(dtype=torch.bfloat16))
    pool.close()
    export(mix(before, finish(model), given.kept), shape, words, given.target)


if __name__ == "__main__":
    main()
