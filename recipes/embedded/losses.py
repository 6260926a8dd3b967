"""What trainings go down: answers, contexts, what patches say, where heads look, the lens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recipes.embedded.loading import BACKGROUND, UNSURE, Batch, Labels
from recipes.embedded.pool import THINGS
from recipes.embedded.rows import BEFORE, PADDING
from recipes.stack.shape import GRID, PATCHES, Shape
from retinoscope.data.scenes.colour import COLOURS

NAMED_LAYER, ASKED_LAYER = 3, 5
POINTING_HEADS = 3


def word_loss(
    logits: Float[Tensor, "models n length words"], tokens: Int[Tensor, "models n length"]
) -> Float[Tensor, "models n length_less_one"]:
    """Cross-entropy of each next token, in nats."""
    flat = logits[:, :, :-1].flatten(0, 2).float()
    loss = F.cross_entropy(flat, tokens[:, :, 1:].flatten(), reduction="none")
    return loss.view(tokens.shape[0], tokens.shape[1], -1)


def answer_loss(loss: Float[Tensor, "models n less"], answers: Tensor) -> Float[Tensor, " models"]:
    """Mean loss of answers; one of n tokens weighs sqrt(n) in all, so that "Yes" is not drowned."""
    length = answers[:, :, 1:].float()
    weight = torch.where(length > 0, length.clamp(min=1).rsqrt(), 0.0)
    return (loss * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1e-6)


def context_loss(loss: Float[Tensor, "models n less"], blocks: Tensor) -> Float[Tensor, " models"]:
    """Mean loss of the words of contexts."""
    inside = (blocks[:, :, 1:] == 0).float()
    return (loss * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1e-6)


class Heads(nn.Module):
    """Linear heads over the tower's patches, dropped after training; stacked like the towers."""

    def __init__(self, shape: Shape, models: int) -> None:
        """Make new heads."""
        super().__init__()
        self.sizes = {
            "patch": BACKGROUND + 1,
            "place": 2 * GRID,
            "cell": 9,
            "number": THINGS,
            "colour": len(COLOURS),
        }
        self.weight = nn.Parameter(torch.zeros(models, shape.width, sum(self.sizes.values())))
        self.bias = nn.Parameter(torch.zeros(models, 1, sum(self.sizes.values())))
        self.image_weight = nn.Parameter(torch.zeros(models, shape.width, BACKGROUND))
        self.image_bias = nn.Parameter(torch.zeros(models, 1, BACKGROUND))

    def forward(self, states: Float[Tensor, "models n tokens width"]) -> dict[str, Tensor]:
        """Return each head's scores: (models, n, 144, classes), of "image": (models, n, 32)."""
        models, n = states.shape[:2]
        patches = states[:, :, 1 : 1 + PATCHES].flatten(1, 2)
        scores = torch.baddbmm(
            self.bias.to(states.dtype), patches, self.weight.to(states.dtype)
        ).float()
        scores = scores.view(models, n, PATCHES, -1).split(list(self.sizes.values()), -1)
        image = torch.baddbmm(
            self.image_bias.to(states.dtype), states[:, :, 0], self.image_weight.to(states.dtype)
        )
        return {**dict(zip(self.sizes, scores, strict=True)), "image": image.float()}


def heads_loss(
    scores: dict[str, Tensor], labels: Labels, present: Float[Tensor, "rows classes"]
) -> Float[Tensor, " models"]:
    """Cross-entropy of everything that patches are asked; labels for all models in one row."""
    models, n = scores["patch"].shape[:2]

    def mean(name: str, truth: Tensor, weight: Tensor) -> Tensor:
        flat = scores[name].flatten(0, 2)
        loss = F.cross_entropy(flat, truth.flatten(), ignore_index=UNSURE, reduction="none")
        weight = (weight.flatten() * (truth.flatten() != UNSURE)).view(models, -1)
        return (loss.view(models, -1) * weight).sum(1) / weight.sum(1).clamp(min=1e-6)

    things = (labels.patch >= 0) & (labels.patch < BACKGROUND)
    total = mean("patch", labels.patch, torch.where(labels.patch == BACKGROUND, 0.125, 1.0))
    for name, factor in (("cell", 1.0), ("number", 0.5), ("colour", 0.5)):
        total = total + factor * mean(name, getattr(labels, name), things.float())
    cells = torch.arange(PATCHES, device=things.device)
    weight = things.float() + 0.1
    rows, columns = scores["place"].unflatten(-1, (2, GRID)).unbind(-2)
    for part, truth in ((rows, cells // GRID), (columns, cells % GRID)):
        loss = F.cross_entropy(
            part.flatten(0, 2), truth.expand(models * n, -1).flatten(), reduction="none"
        )
        loss = loss.view(models, -1)
        total = total + 0.15 * (loss * weight.view(models, -1)).sum(1) / weight.view(
            models, -1
        ).sum(1)
    image = F.binary_cross_entropy_with_logits(
        scores["image"], present.view(models, n, -1), reduction="none"
    )
    return total + image.mean((1, 2))


def answering(batch: Batch) -> Bool[Tensor, "rows length"]:
    """Say which positions answer a question: from its mark on, those of descriptions left out.

    Args:
        batch: rows about images, flat.
    """
    near = torch.zeros_like(batch.answers, dtype=torch.bool)
    for ahead in (1, 2, 3):
        near[:, :-ahead] |= batch.answers[:, ahead:] > 0
    block = batch.blocks
    inside = (block > 0) & (block < PADDING)
    index = (block - 1).clamp(0, batch.kinds.shape[1] - 1)
    # Kind 0 is a description.
    return near & inside & (torch.gather(batch.kinds, 1, index) > 0)


def looked_for(
    batch: Batch, owner: Int[Tensor, "rows 144"]
) -> tuple[Bool[Tensor, "rows length 144"], Bool[Tensor, "rows length 144"]]:
    """Where each position from the question mark on should look.

    Args:
        batch: rows about images, flat.
        owner: the thing that each patch belongs to.

    Returns:
        The patches of the things that the question names, and of those that it asks for; none for
        positions within a question, and for descriptions.
    """
    index = (batch.blocks - 1).clamp(0, batch.kinds.shape[1] - 1)
    at = answering(batch)
    bits = torch.where((owner >= 0) & (owner < THINGS), 1 << owner.clamp(min=0), 0)
    found = []
    for wanted in (batch.named, batch.sought):
        chosen = torch.where(at, torch.gather(wanted, 1, index), 0)
        found.append((chosen[:, :, None] & bits[:, None, :]) > 0)
    return found[0], found[1]


def pointing_loss(
    queries: Float[Tensor, "rows heads length head"],
    keys: Float[Tensor, "rows heads length head"],
    mask: Tensor,
    wanted: Bool[Tensor, "rows length 144"],
    models: int,
) -> Float[Tensor, " models"]:
    """How little the first heads look where they should: minus the log of attention's share."""
    scale = queries.shape[-1] ** -0.5
    scores = queries[:, :POINTING_HEADS] @ keys[:, :POINTING_HEADS].transpose(2, 3) * scale
    seen = (scores.float() + mask.float()).softmax(-1)[..., BEFORE : BEFORE + PATCHES].mean(1)
    share = (seen * wanted).sum(-1)
    there = wanted.any(-1).float()
    loss = -(share + 1e-4).log() * there
    return loss.view(models, -1).sum(1) / there.view(models, -1).sum(1).clamp(min=1)


def looking_loss(
    queries: Float[Tensor, "rows heads length head"],
    keys: Float[Tensor, "rows heads length head"],
    mask: Tensor,
    at: Bool[Tensor, "rows length"],
) -> Float[Tensor, ""]:
    """Mean share of all heads' attention that some positions give to the image."""
    scores = queries @ keys.transpose(2, 3) * queries.shape[-1] ** -0.5
    seen = (scores.float() + mask.float()).softmax(-1)[..., BEFORE : BEFORE + PATCHES].sum(-1)
    return (seen.mean(1) * at).sum() / at.sum().clamp(min=1)


def lens_loss(
    logits: Sequence[Float[Tensor, "models n tokens words"]], words: Int[Tensor, "models n tokens"]
) -> Float[Tensor, " models"]:
    """Cross-entropy of visual tokens to the word of what they show; -1 where it is none."""
    models = words.shape[0]
    there = (words >= 0).float().view(models, -1)
    total = torch.zeros(models, device=words.device)
    for each in logits:
        loss = F.cross_entropy(
            each.flatten(0, 2).float(), words.flatten(), ignore_index=-1, reduction="none"
        )
        total = total + (loss.view(models, -1) * there).sum(1) / there.sum(1).clamp(min=1)
    return total / len(logits)
