"""What the reference's tower sees of every image of a pool, looked at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from recipes.embedded.augment import normalise, restyle
from recipes.embedded.export import read_weights
from recipes.embedded.loading import Batch, DevicePool
from recipes.embedded.parts import seeded
from recipes.embedded.together import SEED, embedded_shape
from recipes.stack.run import Runs
from recipes.stack.tower import Tower, look
from recipes.stack.unstack import put_weights
from recipes.variants.families import Family
from retinoscope.shipped import embedded_folder


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
    """Last states of the tower over every image of a pool, as it is and in another style.

    Attributes:
        states: (2 x images, tokens, width); the second half is restyled.
        images: number of images.
    """

    states: Float[Tensor, "twice tokens width"]
    images: int

    def of(self, family: Family, batch: Batch) -> Float[Tensor, "models n tokens width"]:
        """Return what each member of a family sees in a batch."""
        return self.at(family, batch.restyled * self.images + batch.image)

    def at(self, family: Family, number: Tensor) -> Float[Tensor, "models n tokens width"]:
        """Return what each member of a family sees: (models, n) numbers of states."""
        return self.states[number]


@torch.no_grad()
def reference_tower(device: torch.device) -> Tower:
    """Return the tower of the reference, as it is shipped: a stack of one, not to be trained."""
    weights = read_weights(embedded_folder())
    own = {k.removeprefix("tower/"): w.float() for k, w in weights.items() if k.startswith("tower")}
    # The tower knows nothing of words.
    tower = Tower(embedded_shape(vocabulary=1), [SEED])
    put_weights(tower, 0, own)
    return tower.requires_grad_(False).to(device)


@torch.no_grad()
def compute_features(
    tower: Tower, pool: DevicePool, runs: Runs, styled: bool = True, chunk: int = 256
) -> Features:
    """Look at every image of a pool.

    Args:
        tower: a stack of one.
        pool: the scenes.
        runs: how layers are run.
        styled: whether to look at every image in another style, too.
        chunk: images at once.
    """
    found: list[Tensor] = []
    for restyled in (False, True) if styled else (False,):
        for start in range(0, pool.count, chunk):
            at = slice(start, min(start + chunk, pool.count))
            if restyled:
                free = torch.ones(at.stop - at.start, dtype=torch.bool, device=pool.device)
                rng = seeded(pool.device, 13, start)
                pixels = restyle(pool.images[at], pool.owners[at], free, rng, runs.dtype)
            else:
                pixels = normalise(pool.images[at], runs.dtype)
            found.append(look(tower, pixels[None])[0])
    return Features(torch.cat(found), pool.count)
