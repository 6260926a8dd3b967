"""What towers see of every image of a pool, looked at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from recipes.embedded.augment import normalise, restyle
from recipes.embedded.loading import Batch, DevicePool
from recipes.embedded.losses import (
    Heads,
)
from recipes.embedded.parts import seeded
from recipes.stack.run import Runs
from recipes.stack.shape import PATCHES
from recipes.stack.tower import Tower, look
from recipes.variants.families import Family


@dataclass(frozen=True)
class Towers:
    """The shared tower and its twin with registers, each a stack of one, with their heads."""

    plain: Tower
    registers: Tower
    plain_heads: Heads
    registers_heads: Heads


class Seen(Protocol):
    """What each member of a family sees of images."""

    def of(self, family: Family, batch: Batch) -> Tensor:
        """Return what it sees in a batch: (models, n, tokens, width)."""
        ...

    def at(self, family: Family, number: Tensor) -> Tensor:
        """Return what it sees: (models, n) numbers of states."""
        ...


@dataclass(frozen=True)
class Features:
    """Last states of both towers over every image of a pool, as it is and in another style.

    Attributes:
        plain, registers: (2 x images, tokens, width); the second half is restyled.
        images: number of images.
    """

    plain: Float[Tensor, "twice tokens width"]
    registers: Float[Tensor, "twice more_tokens width"]
    images: int

    def of(self, family: Family, batch: Batch) -> Float[Tensor, "models n tokens width"]:
        """Return what each member of a family sees in a batch."""
        return self.at(family, batch.restyled * self.images + batch.image)

    def at(self, family: Family, number: Tensor) -> Float[Tensor, "models n tokens width"]:
        """Return what each member of a family sees: (models, n) numbers of states."""
        split = int((~family.flags("registers")).sum())
        parts = []
        if split:
            parts.append(self.plain[number[:split]])
        if split < len(family.members):
            seen = self.registers[number[split:]]
            parts.append(seen[:, :, : 1 + PATCHES] if split else seen)
        return torch.cat(parts)


@torch.no_grad()
def compute_features(
    towers: Towers, pool: DevicePool, runs: Runs, styled: bool = True, chunk: int = 256
) -> Features:
    """Look at every image of a pool.

    Args:
        towers: both.
        pool: the scenes.
        runs: how layers are run.
        styled: whether to look at every image in another style, too.
        chunk: images at once.
    """
    found: dict[str, list[Tensor]] = {"plain": [], "registers": []}
    for restyled in (False, True) if styled else (False,):
        for start in range(0, pool.count, chunk):
            at = slice(start, min(start + chunk, pool.count))
            if restyled:
                free = torch.ones(at.stop - at.start, dtype=torch.bool, device=pool.device)
                rng = seeded(pool.device, 13, start)
                pixels = restyle(pool.images[at], pool.owners[at], free, rng, runs.dtype)
            else:
                pixels = normalise(pool.images[at], runs.dtype)
            found["plain"].append(look(towers.plain, pixels[None])[0])
            found["registers"].append(look(towers.registers, pixels[None])[0])
    return Features(torch.cat(found["plain"]), torch.cat(found["registers"]), pool.count)
