"""Train the reference and the pointed model: `python -m recipes.embedded.train`.

It follows `recipes.embedded.render`, which may still be rendering.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recipes.embedded.augment import normalise
from recipes.embedded.loading import Batch, DevicePool, DeviceRows, wait_for
from recipes.embedded.parts import show_time
from recipes.embedded.pool import CHUNK
from recipes.embedded.render import read_text, read_words, text_files
from recipes.embedded.together import (
    MODELS,
    Sizes,
    Whole,
    embedded_shape,
    fork,
    make_whole,
    train_parts,
    train_together,
)
from recipes.embedded.training import Budget, Stage
from recipes.stack.packing import keep_bits, pack
from recipes.stack.run import Runs, make_runs
from recipes.stack.tower import Tower, look
from recipes.stack.unstack import connector_weights, decoder_weights, tower_weights
from recipes.variants.catalogue import Variant
from recipes.variants.describing import describe
from recipes.variants.families import Family, Member
from recipes.variants.measure import class_words, measure
from recipes.variants.records import Record, append, to_records

SPLITS = ("validation", "heldout")
KEPT_BITS = 8
"""Significant bits of the shipped weights: float16 has three more, which don't compress."""
FINISHED = "finished"
"""Name of the file that says that the first model's weights are written for good."""


@dataclass(frozen=True)
class OwnFeatures:
    """Last states of each model's own tower: (models, images, tokens, width)."""

    states: Tensor

    def of(self, family: Family, batch: Batch) -> Tensor:
        """Return what each model sees in a batch."""
        return self.at(family, batch.image)

    def at(self, family: Family, number: Tensor) -> Tensor:
        """Return what each model sees: (models, n) numbers of images."""
        return torch.stack([own[at] for own, at in zip(self.states, number, strict=True)])


@torch.no_grad()
def own_features(tower: Tower, pool: DevicePool, runs: Runs) -> OwnFeatures:
    """Let each model's tower look at every image of a pool."""
    found = []
    models = len(tower.patch)
    for start in range(0, pool.count, 100):
        pixels = normalise(pool.images[start : min(start + 100, pool.count)], runs.dtype)
        found.append(look(tower, pixels.expand(models, *pixels.shape), runs.tower))
    return OwnFeatures(torch.cat(found, 1))


@torch.no_grad()
def round_weights(whole: Whole) -> None:
    """Round weights as they are shipped, so that what is measured is what is shipped."""
    for parameter in whole.modules().parameters():
        parameter.copy_(keep_bits(parameter, KEPT_BITS).half())


def write(whole: Whole, out: Path, models: Sequence[str] = MODELS) -> None:
    """Write the weights of models, under the names that `transformers` gives them."""
    for name in models:
        number = MODELS.index(name)
        parts = {
            "tower": tower_weights(whole.tower, number),
            "connector": connector_weights(whole.connector, number),
            "decoder": decoder_weights(whole.decoder, number),
        }
        named = {f"{part}/{key}": w for part, held in parts.items() for key, w in held.items()}
        size = pack(named, "float16", out / f"{name}.npz")
        print(f"wrote {name}: {size / 1e6:.1f} MB", flush=True)


def read_measured(work: Path, split: str, count: int, device: torch.device) -> DevicePool:
    """Return scenes to measure on, in whole chunks."""
    count = -(-count // CHUNK) * CHUNK
    pool = DevicePool(work / split, count, device)
    pool.refresh(count)
    return pool


def measure_models(
    whole: Whole,
    pools: dict[str, DevicePool],
    work: Path,
    step: int,
    checkpoint: int,
    images: int,
) -> list[Record]:
    """Measure both models in float32, on seen and unseen sprites."""
    words = read_words(work)
    members = tuple(Member(Variant(name, "", ""), 0) for name in MODELS)
    family = Family("patches", members, whole.connector, whole.decoder)
    found = []
    for split, pool in pools.items():
        names = class_words(words, pool.device)
        some = torch.arange(min(images, pool.count), device=pool.device)
        features = own_features(whole.tower, pool, Runs())
        measured = [
            *measure(family, pool, features, names, some),
            *describe(family, pool, features, words, names, some, Runs()),
        ]
        found += to_records(family, measured, step, checkpoint, split)
    for name in MODELS:
        shown = {
            f"{r.split} {r.task}": round(r.value, 3)
            for r in found
            if r.variant == name and r.measure in ("accuracy", "recall")
        }
        print(f"checkpoint {checkpoint} {name} {shown}", flush=True)
    return found


def main() -> None:
    """Train, measure and write what the command line asks for."""
    given = _arguments()
    device = torch.device(given.device)
    torch.set_num_threads(given.threads)
    plain, fast = make_runs(device), make_runs(device, given.compile)
    sizes = Sizes(given.tower_images, given.text_rows, given.images, given.words)
    wait_for([given.work / "words.json"])
    shape = embedded_shape(len(read_words(given.work).vocabulary))
    wait_for(text_files(given.work, "raster", given.texts))
    text = DeviceRows(device)
    text.add(read_text(given.work, "raster", given.texts))
    pool = DevicePool(given.work / "train", given.capacity, device)
    pool.refresh(1)
    one = make_whole(shape, 1, device)
    stage = Stage(
        "parts",
        Budget(given.parts_seconds, given.parts_steps),
        given.work / "embedded",
        given.out / "log",
    )
    train_parts(one, pool, text, sizes, stage, plain)
    show_time("parts")
    both = make_whole(shape, len(MODELS), device)
    fork(one, both)
    left = given.together_seconds if given.until is None else given.until - time.time()
    stage = Stage(
        "together",
        Budget(left, given.together_steps),
        given.work / "embedded",
        given.out / "log",
    )
    records = given.out / "embedded.jsonl.gz"
    records.unlink(missing_ok=True)
    step = train_together(both, pool, text, sizes, stage, fast, lambda: write(both, given.out))
    show_time("together")
    round_weights(both)
    write(both, given.out, MODELS[:1])
    (given.work / "embedded" / FINISHED).touch()
    write(both, given.out, MODELS[1:])
    pools = {s: read_measured(given.work, s, given.measured, device) for s in SPLITS}
    append(records, measure_models(both, pools, given.work, step, 6, given.checked))
    show_time("measured")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recipes.embedded.train", description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--parts-seconds", type=float, default=1e9)
    parser.add_argument("--parts-steps", type=int, default=6000)
    parser.add_argument("--together-seconds", type=float, default=1e9)
    parser.add_argument("--together-steps", type=int, default=12_000)
    parser.add_argument("--until", type=float, help="seconds since 1970 when together ends")
    parser.add_argument("--capacity", type=int, default=60_000)
    parser.add_argument("--texts", type=int, default=40_000)
    parser.add_argument("--measured", type=int, default=500)
    parser.add_argument("--checked", type=int, default=500, help="scenes to measure on")
    parser.add_argument("--tower-images", type=int, default=192)
    parser.add_argument("--text-rows", type=int, default=80)
    parser.add_argument("--images", type=int, default=80)
    parser.add_argument("--words", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
