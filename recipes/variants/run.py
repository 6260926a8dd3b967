"""Train and measure every variant: `python -m recipes.variants.run`.

It follows `recipes.embedded.render`, which may still be rendering.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recipes.embedded.loading import DevicePool, DeviceRows, wait_for
from recipes.embedded.parts import show_time
from recipes.embedded.render import read_rows, read_text, read_words, text_file, text_files
from recipes.embedded.train import SPLITS, read_measured
from recipes.embedded.training import Budget, Stage
from recipes.embedded.words import Words
from recipes.stack.connector import ConnectorKind
from recipes.stack.decoder import Decoder
from recipes.stack.packing import keep_bits, pack
from recipes.stack.run import Runs, make_runs
from recipes.stack.unstack import connector_weights, decoder_weights
from recipes.variants.answers import measure_texts
from recipes.variants.catalogue import VARIANTS, TextKind, Variant
from recipes.variants.describing import describe
from recipes.variants.families import (
    TEXTS,
    Family,
    Member,
    list_members,
    make_families,
    read_texts,
    variant_shape,
)
from recipes.variants.features import Features, compute_features, reference_tower
from recipes.variants.measure import CLEAN, class_words, list_conditions, measure
from recipes.variants.records import append, to_records
from recipes.variants.rounding import KEPT_BITS, round_weights
from recipes.variants.train import (
    Sizes,
    Source,
    patch_classes,
    train_on_images,
    train_texts,
)

CHECKPOINTS = (0.15, 0.3, 0.45, 0.6, 0.8)
"""Progress at which models are measured, besides the end."""
DESCRIBED = 100
"""Scenes that every model describes."""
NULLS = 5
"""Models of random weights."""
PACKED = 26_000_000
"""Most bytes of one file of weights, before compression halves it."""


@dataclass(frozen=True)
class Measuring:
    """What models are measured on.

    Attributes:
        pools: scenes of each split.
        features: what the tower sees in them.
        text: documents.
        words: the vocabulary.
        records: where results go.
    """

    pools: dict[str, DevicePool]
    features: dict[str, Features]
    text: DeviceRows
    words: Words
    records: Path

    def at_checkpoint(
        self, families: dict[ConnectorKind, Family], step: int, checkpoint: int, images: int
    ) -> None:
        """Measure lens and answers of every model on seen sprites."""
        pool, features = self.pools["validation"], self.features["validation"]
        names = class_words(self.words, pool.device)
        some = torch.arange(min(images, pool.count), device=pool.device)
        for family in families.values():
            found = measure(family, pool, features, names, some, (CLEAN,), checkpoint == 6)
            append(self.records, to_records(family, found, step, checkpoint, "validation"))
            _print(family, found, step)

    def at_end(self, families: dict[ConnectorKind, Family], step: int, images: int) -> None:
        """Measure everything else: descriptions, text, unseen sprites, what breaks the lens."""
        for family in families.values():
            for split, pool in self.pools.items():
                names = class_words(self.words, pool.device)
                some = torch.arange(min(images, pool.count), device=pool.device)
                features = self.features[split]
                found = describe(family, pool, features, self.words, names, some[:200], Runs())
                if split == "heldout":
                    found += measure(family, pool, features, names, some)
                append(self.records, to_records(family, found, step, 6, split))
            found = measure_texts(family.decoder, self.text)
            append(self.records, to_records(family, found, step, 6, "text"))
        pool, features = self.pools["validation"], self.features["validation"]
        names = class_words(self.words, pool.device)
        some = torch.arange(min(images // 2, pool.count), device=pool.device)
        for family in families.values():
            layers = family.decoder.shape.decoder_layers
            found = measure(family, pool, features, names, some, list_conditions(layers)[1:])
            append(self.records, to_records(family, found, step, 6, "validation"))


def _print(family: Family, found: list, step: int) -> None:
    """Print the first seed's accuracy and best share of the lens."""
    told = {}
    for number, member in enumerate(family.members):
        if member.seed == 0:
            best = [float(m.shares.value[number]) for m in found if m.measure == "lens_strict"]
            right = [float(m.shares.value[number]) for m in found if m.task == "all"]
            told[member.variant.name] = f"{max(right, default=-1):.2f}/{max(best, default=-1):.2f}"
    print(f"step {step} accuracy/lens {told}", flush=True)


@torch.no_grad()
def write(families: dict[ConnectorKind, Family], out: Path) -> None:
    """Write the first seed of every variant in files of a size that can travel."""
    named: dict[str, dict[str, Tensor]] = {}
    for family in families.values():
        for number, member in enumerate(family.members):
            if member.seed:
                continue
            name = member.variant.name
            parts = {
                "connector": connector_weights(family.connector, number),
                "decoder": decoder_weights(family.decoder, number),
            }
            named[name] = {
                f"{name}/{p}/{k}": keep_bits(w, KEPT_BITS)
                for p, held in parts.items()
                for k, w in held.items()
            }
    files: list[dict[str, Tensor]] = [{}]
    for weights in named.values():
        size = 2 * sum(w.numel() for w in [*files[-1].values(), *weights.values()])
        if size > PACKED:
            files.append({})
        files[-1] |= weights
    for number, weights in enumerate(files):
        size = pack(weights, "bfloat16", out / f"variants-{number}.npz")
        print(f"wrote variants-{number}: {size / 1e6:.1f} MB", flush=True)


def main() -> None:
    """Train, measure and write what the command line asks for."""
    given = _arguments()
    device = torch.device(given.device)
    torch.set_num_threads(given.threads)
    plain, fast = make_runs(device), make_runs(device, given.compile)
    if given.compile:
        # What can't be compiled is run plainly.
        torch._dynamo.config.suppress_errors = True
    wait_for([given.work / "words.json"])
    words = read_words(given.work)
    members = list_members(given.variants, given.seeds)
    sizes = Sizes(given.text_rows, given.images, given.words)
    shape = variant_shape(len(words.vocabulary))

    def stage(name: str, seconds: float, steps: int) -> Stage:
        return Stage(name, Budget(seconds, steps), given.work / "variants", given.out / "log")

    told: set[tuple[TextKind, int]] = {
        (m.variant.text, m.seed) for m in members if m.variant.text != "none"
    }
    trained = sorted(told)
    decoder = Decoder(shape, [seed for _, seed in trained]).to(device)
    texts = read_sources(given.work, given.texts, {kind for kind, _ in trained}, device)
    budget = stage("text", given.text_seconds, given.text_steps)
    # Scenes are read as they are rendered, while decoders are trained on text.
    pool = DevicePool(given.work / "train", given.capacity, device)
    train_texts(decoder, trained, texts, sizes, budget, fast, lambda _: pool.refresh())
    show_time("text")
    pool.refresh(given.least_images)
    pool.close()
    tower = reference_tower(device)
    features = compute_features(tower, pool, plain)
    pools = {split: read_measured(given.work, split, given.measured, device) for split in SPLITS}
    wait_for([text_file(given.work, "measured", 0)])
    text = DeviceRows(device)
    text.add(read_rows([text_file(given.work, "measured", 0)])[0])
    given.out.mkdir(parents=True, exist_ok=True)
    records = given.out / "variants.jsonl.gz"
    records.unlink(missing_ok=True)
    seen = {s: compute_features(tower, p, Runs(), styled=False) for s, p in pools.items()}
    measuring = Measuring(pools, seen, text, words, records)
    families = make_families(shape, members, tower.shape.width, device)
    read_texts(families, decoder, trained)
    untrained = [Member(Variant("random", "", ""), seed) for seed in range(given.seeds or NULLS)]
    null = make_families(shape, untrained, tower.shape.width, device)
    measuring.at_checkpoint(null, 0, 6, given.checked)
    measuring.at_checkpoint(families, 0, 0, given.checked)
    left = list(CHECKPOINTS)
    show_time(f"features of {pool.count} scenes")
    steps = 0

    def check(progress: float) -> None:
        nonlocal steps
        steps += 1
        if left and progress >= left[0]:
            left.pop(0)
            measuring.at_checkpoint(families, steps, len(CHECKPOINTS) - len(left), given.checked)
            if len(left) == 1:
                write(families, given.out)

    source = Source(pool, features, texts, patch_classes(words, device))
    seconds = given.image_seconds if given.until is None else given.until - time.time()
    budget = stage("images", seconds, given.image_steps)
    steps = train_on_images(families, source, sizes, budget, (plain, fast), check)
    show_time("images")
    round_weights(families)
    write(families, given.out)
    measuring.at_checkpoint(families, steps, 6, given.last)
    show_time("last checkpoint")
    measuring.at_end(families, steps, given.last)
    show_time("measured")


def read_sources(
    work: Path, texts: int, kinds: set[TextKind], device: torch.device
) -> dict[TextKind, DeviceRows]:
    """Read the kinds of text that are needed, once they are written."""
    sources: dict[TextKind, DeviceRows] = {}
    for kind in TEXTS:
        if kind in kinds:
            wait_for(text_files(work, kind, texts))
            sources[kind] = DeviceRows(device)
            sources[kind].add(read_text(work, kind, texts))
    return sources


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recipes.variants.run", description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--seeds", type=int, help="of every variant; else what each names")
    for name, steps in (("text", 4000), ("image", 4000)):
        parser.add_argument(f"--{name}-seconds", type=float, default=1e9)
        parser.add_argument(f"--{name}-steps", type=int, default=steps)
    parser.add_argument("--until", type=float, help="seconds since 1970 when images end")
    parser.add_argument("--capacity", type=int, default=60_000)
    parser.add_argument("--least-images", type=int, default=0, help="wait for so many")
    parser.add_argument("--texts", type=int, default=40_000)
    parser.add_argument("--measured", type=int, default=500)
    parser.add_argument("--checked", type=int, default=300, help="scenes of a checkpoint")
    parser.add_argument("--last", type=int, default=500, help="scenes of the last checkpoint")
    parser.add_argument("--text-rows", type=int, default=24)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--words", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
