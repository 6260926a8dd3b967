"""What is measured of the variants while they are trained, and at the end."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch

from recipes.embedded.loading import DevicePool, DeviceRows, wait_for
from recipes.embedded.render import read_rows, text_file
from recipes.embedded.train import SPLITS, read_measured
from recipes.embedded.words import Words
from recipes.stack.connector import ConnectorKind
from recipes.stack.run import Runs
from recipes.stack.tower import Tower
from recipes.variants.answers import measure_texts
from recipes.variants.describing import describe
from recipes.variants.families import Family
from recipes.variants.features import Features, compute_features
from recipes.variants.measure import CLEAN, class_words, list_conditions, measure
from recipes.variants.records import append, to_records


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


def prepare_measures(
    given: argparse.Namespace, tower: Tower, words: Words, device: torch.device
) -> Measuring:
    """Read what is measured on, and begin the file of records anew."""
    pools = {split: read_measured(given.work, split, given.measured, device) for split in SPLITS}
    wait_for([text_file(given.work, "measured", 0)])
    text = DeviceRows(device)
    text.add(read_rows([text_file(given.work, "measured", 0)])[0])
    given.out.mkdir(parents=True, exist_ok=True)
    records = given.out / "variants.jsonl.gz"
    records.unlink(missing_ok=True)
    seen = {s: compute_features(tower, p, Runs(), styled=False) for s, p in pools.items()}
    return Measuring(pools, seen, text, words, records)
