"""Linear probes of the class at object patches, with shuffled labels as their control."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recipes.variants.records import Measured, shares
from retinoscope.data.scenes.classes import NAMES

RIDGE = 1.0


@dataclass(frozen=True)
class Scene:
    """What is known of images, for visual tokens of one family.

    Attributes:
        kind: class that each token shows, -1 for none or for tokens that have no place.
        far: whether a token lies two or more cells from every thing.
        thing: number of the thing that each token shows.
        present: which classes each image holds.
    """

    kind: Int[Tensor, "n tokens"]
    far: Bool[Tensor, "n tokens"]
    thing: Int[Tensor, "n tokens"]
    present: Bool[Tensor, "n classes"]


def probe(kept: list[list[Tensor]], scenes: list[tuple[Scene, Tensor]]) -> list[Measured]:
    """Fit linear probes of the class at object patches, and of labels shuffled among things."""
    kind = torch.cat([scene.kind[scene.kind >= 0] for scene, _ in scenes])
    image = torch.cat(
        [some[:, None].expand_as(scene.kind)[scene.kind >= 0] for scene, some in scenes]
    )
    thing = torch.cat([scene.thing[scene.kind >= 0] for scene, _ in scenes])
    rng = torch.Generator().manual_seed(0)
    owner, index = torch.unique(image * 8 + thing, return_inverse=True)
    shuffled = torch.randint(len(NAMES), (len(owner),), generator=rng).to(kind)[index]
    order = torch.unique(image)
    train = image < order[int(0.7 * len(order))]
    found = []
    for layer in range(len(kept[0])):
        states = torch.cat([part[layer] for part in kept], 1)
        for name, labels in (("probe", kind), ("probe_control", shuffled)):
            right = _ridge(states, labels, train)
            hits, there = by_image(right, image[~train])
            found.append(Measured(name, "clean", layer, "object", shares(hits.cpu(), there.cpu())))
    return found


def _ridge(
    states: Float[Tensor, "models n width"], labels: Int[Tensor, " n"], train: Bool[Tensor, " n"]
) -> Bool[Tensor, "models tested"]:
    """Fit a ridge regression on one part of the patches; say where it is right on the other."""
    states = F.layer_norm(states.float(), states.shape[-1:])
    states = F.pad(states, (0, 1), value=1.0)
    x, y = states[:, train], F.one_hot(labels[train], len(NAMES)).float()
    square = x.transpose(1, 2) @ x + RIDGE * torch.eye(x.shape[-1], device=x.device)
    weights = torch.linalg.solve(square, x.transpose(1, 2) @ y)
    return (states[:, ~train] @ weights).argmax(-1) == labels[~train]


def by_image(right: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """Sum hits and counts of patches by image: (models, images) each."""
    _, index = torch.unique(image, return_inverse=True)
    count = int(index.max()) + 1
    hits = torch.zeros(len(right), count, device=right.device)
    hits.index_add_(1, index, right.float())
    there = torch.zeros(count, device=right.device).index_add_(
        0, index, torch.ones(len(index), device=right.device)
    )
    return hits, there.expand_as(hits)
