"""The rows of the study: what was measured of which model, when, with its interval."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from recipes.variants.families import Family

DRAWS = 400
"""Bootstrap draws over images."""
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Shares:
    """A share of each model with a 95 % interval from drawing images anew.

    Attributes:
        value, low, high: in [0, 1].
        n: tokens or answers behind each.
        images: images behind each.
    """

    value: Float[Tensor, " models"]
    low: Float[Tensor, " models"]
    high: Float[Tensor, " models"]
    n: Float[Tensor, " models"]
    images: int


@dataclass(frozen=True)
class Measured:
    """One measure of every model of a family."""

    measure: str
    condition: str
    layer: int
    task: str
    shares: Shares


@dataclass(frozen=True)
class Record:
    """One measure of one model.

    Attributes:
        variant: its name; "random" for weights that were never trained.
        seed: of its weights and data.
        step: steps on images when it was measured.
        checkpoint: number of the checkpoint, 1 to 6; 0 before images.
        split: sprites of the scenes, "train" or "heldout"; "text" for documents.
        measure: "lens_strict", "lens_lenient", "lens_present", "lens_present_null", "probe",
            "probe_control", "accuracy", "recall" or "precision".
        condition: how passes were changed; "clean".
        layer: of the states, 0 (embeddings) to 8; -1 where there is none.
        task: kind of question, or which visual tokens.
        value, low, high: the share and its 95 % interval over images.
        n: tokens or answers behind it.
        images: images behind it.
    """

    variant: str
    seed: int
    step: int
    checkpoint: int
    split: str
    measure: str
    condition: str
    layer: int
    task: str
    value: float
    low: float
    high: float
    n: int
    images: int


def shares(hits: Float[Tensor, "models images"], there: Float[Tensor, "models images"]) -> Shares:
    """Return the share of hits of each model, with an interval from drawing images anew."""
    images = hits.shape[1]
    rng = Generator().manual_seed(0)
    drawn = torch.randint(images, (DRAWS, images), generator=rng)
    weights = torch.zeros(DRAWS, images).scatter_add_(1, drawn, torch.ones(DRAWS, images))
    ratios = (hits @ weights.T) / (there @ weights.T).clamp(min=1)
    low, high = torch.quantile(ratios, torch.tensor(INTERVAL), dim=1)
    total = there.sum(1)
    return Shares(hits.sum(1) / total.clamp(min=1), low, high, total, images)


def append(file: Path, records: Iterable[Record]) -> None:
    """Append records to a file of compressed JSON lines."""
    lines = []
    for record in records:
        told = {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(record).items()}
        lines.append(json.dumps(list(told.values()), separators=(",", ":")))
    with gzip.open(file, "at", encoding="utf-8") as stream:
        stream.write("".join(f"{line}\n" for line in lines))


def read(file: Path) -> list[Record]:
    """Read records."""
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        return [Record(*json.loads(line)) for line in stream]


def to_records(
    family: Family, measured: Iterable[Measured], step: int, checkpoint: int, split: str
) -> list[Record]:
    """Return one record for each measure of each model of a family."""
    found = []
    for each in measured:
        columns = zip(
            family.members,
            each.shares.value.tolist(),
            each.shares.low.tolist(),
            each.shares.high.tolist(),
            each.shares.n.tolist(),
            strict=True,
        )
        found += [
            Record(
                member.variant.name,
                member.seed,
                step,
                checkpoint,
                split,
                each.measure,
                each.condition,
                each.layer,
                each.task,
                value,
                low,
                high,
                int(n),
                each.shares.images,
            )
            for member, value, low, high, n in columns
        ]
    return found
