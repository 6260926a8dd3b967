"""Stacks of the variants: those whose images have equally many visual tokens train in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from recipes.stack.connector import TOKENS, Connector, ConnectorKind
from recipes.stack.decoder import Decoder
from recipes.stack.shape import Shape
from recipes.variants.catalogue import VARIANTS, TextKind, Variant

TEXTS: tuple[TextKind, ...] = ("raster", "sentences", "shuffled", "distracted")


def variant_shape(vocabulary: int) -> Shape:
    """Return the shape of every variant; its tower is another one, the reference's."""
    return Shape(128, 4, 8, 512, 8, 256, vocabulary)


@dataclass(frozen=True)
class Member:
    """One model of a stack."""

    variant: Variant
    seed: int


@dataclass(frozen=True)
class Family:
    """Models whose images have equally many visual tokens.

    Attributes:
        kind: of connector.
        members: the models.
        connector, decoder: their weights.
    """

    kind: ConnectorKind
    members: tuple[Member, ...]
    connector: Connector
    decoder: Decoder

    @property
    def tokens(self) -> int:
        """Visual tokens of an image."""
        return TOKENS[self.kind]

    def which(self, name: str) -> Tensor:
        """Return the numbers of the members of which something is true."""
        chosen = [i for i, m in enumerate(self.members) if getattr(m.variant, name)]
        return torch.tensor(chosen, dtype=torch.long, device=self.decoder.embed.device)

    def flags(self, name: str) -> Bool[Tensor, " models"]:
        """Say of each member whether something is true of its variant."""
        return torch.tensor(
            [bool(getattr(m.variant, name)) for m in self.members],
            device=self.decoder.embed.device,
        )

    def modules(self) -> nn.ModuleDict:
        """Return the parts for a checkpoint."""
        return nn.ModuleDict({"connector": self.connector, "decoder": self.decoder})


def make_families(
    shape: Shape, members: Sequence[Member], seen: int, device: torch.device
) -> dict[ConnectorKind, Family]:
    """Sort models into families, with new weights.

    Args:
        shape: of every decoder.
        members: the models.
        seen: width of the tower's states.
        device: where.
    """
    families = {}
    for kind in TOKENS:
        chosen = [m for m in members if m.variant.connector == kind]
        if chosen:
            seeds = [m.seed for m in chosen]
            connector = Connector(shape, seeds, kind, [m.variant.linear for m in chosen], seen)
            families[kind] = Family(
                kind,
                tuple(chosen),
                connector.to(device),
                Decoder(shape, seeds).to(device),
            )
    return families


def list_members(names: Sequence[str], seeds: int | None) -> list[Member]:
    """List the models of variants.

    Args:
        names: of the variants.
        seeds: of each; None for the number that the variant names.
    """
    return [
        Member(VARIANTS[name], seed)
        for name in names
        for seed in range(seeds or VARIANTS[name].seeds)
    ]


@torch.no_grad()
def read_texts(
    families: dict[ConnectorKind, Family], decoder: Decoder, trained: Sequence[tuple[TextKind, int]]
) -> None:
    """Begin the models of the families from decoders that were trained on text.

    Args:
        families: of which every member's text and seed was trained, unless its text is "none".
        decoder: the trained stack.
        trained: text and seed of each of its models.
    """
    numbers = {each: number for number, each in enumerate(trained)}
    for family in families.values():
        for at, member in enumerate(family.members):
            if member.variant.text == "none":
                continue
            source = numbers[member.variant.text, member.seed]
            pairs = zip(family.decoder.parameters(), decoder.parameters(), strict=True)
            for target, value in pairs:
                target[at] = value[source]
