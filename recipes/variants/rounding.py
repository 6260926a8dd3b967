"""Weights rounded as they are written, so that what is measured is what is shipped."""

from __future__ import annotations

import torch

from recipes.stack.connector import ConnectorKind
from recipes.stack.packing import keep_bits
from recipes.variants.families import (
    Family,
)

KEPT_BITS = 6
"""Significant bits of the shipped weights; many variants must fit into one small wheel."""


@torch.no_grad()
def round_weights(families: dict[ConnectorKind, Family]) -> None:
    """Round weights as they are written, so that the last measures are of what is shipped."""
    for family in families.values():
        for parameter in family.modules().parameters():
            parameter.copy_(keep_bits(parameter, KEPT_BITS))
