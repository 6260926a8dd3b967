"""Outputs against those of the plain hooks: a faster wrong answer is no row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

LARGEST = 1e-3
"""The most that two float32 implementations may differ in a logit, as a share of the largest."""


def agreement(
    kind: str, found: Path, chosen: list[int], reference: Path, among: list[int]
) -> dict[str, Any]:
    """How far two tools' outputs agree on the conditions that both did.

    Args:
        kind: of the work.
        found: the tool's outputs.
        chosen: which conditions they are of.
        reference: the plain hooks' outputs.
        among: which conditions those are of.
    """
    mine, other = (load_file(path)["output"] for path in (found, reference))
    if kind in ("next token", "captions"):
        both = [index for index in among if index in chosen]
        mine = mine[[chosen.index(index) for index in both]]
        other = other[[among.index(index) for index in both]]
    if mine.shape != other.shape:
        return {"agrees": False, "said": f"shape {list(mine.shape)} for {list(other.shape)}"}
    if kind == "next token":
        return _logits(mine, other)
    if kind == "gradients":
        off = float((mine - other).abs().max() / other.abs().max())
        return {"agrees": off < 0.05, "said": f"scores within {off:.1%} of the largest"}
    same = float((mine == other).float().mean())
    return {"agrees": same > 0.99, "said": f"{same:.1%} of tokens equal"}


def _logits(mine: Tensor, other: Tensor) -> dict[str, Any]:
    error = float((mine - other).abs().max())
    same = bool(torch.equal(mine.argmax(-1), other.argmax(-1)))
    close = error <= LARGEST * float(other.abs().max())
    return {"agrees": close and same, "said": f"logits within {error:.1e}"}
