"""A tiny model whose first attention writes an object's word into everything behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny
import torch

from retinoscope.engine import look
from retinoscope.experiments.target import Target
from retinoscope.models import Checkpoint, load

STRENGTH = 400.0
"""So much of the word is written for an image that is all object: more than all else together."""


def spreading(folder: Path, seen: dict[str, Target]) -> Checkpoint:
    """Nothing is written but by one head: each class's word, by the share of its colour so far.

    Args:
        folder: where the model is written first.
        seen: a picture of each class, its object in the upper left corner.
    """
    checkpoint = load(tiny.save(folder))
    parts: Any = checkpoint.parts
    with torch.no_grad():
        for layer in parts.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        states = {name: _visual(checkpoint, target) for name, target in seen.items()}
        colours = torch.stack([found[0] for found in states.values()])
        grey = next(iter(states.values()))[len(colours) :].mean(0)
        basis = torch.linalg.qr(torch.cat([colours, grey[None]]).T).Q
        attention = parts.layers[0].self_attn
        attention.q_proj.weight.zero_()  # every position is read alike
        attention.v_proj.weight.zero_()
        dual = torch.linalg.pinv(torch.cat([colours, grey[None]]).T)
        rows = parts.head.weight
        for index, name in enumerate(seen):
            row = rows[tiny.WORDS.index(name)]
            row -= basis @ (basis.T @ row)  # no colour reads as a word by itself
            attention.v_proj.weight[index] = dual[index]
            attention.o_proj.weight[:, index] = STRENGTH * row / row.norm()
    return checkpoint


def _visual(checkpoint: Checkpoint, target: Target) -> torch.Tensor:
    recording = look(checkpoint, target.image, "Describe this image.")
    return recording.residual(0)[list(recording.layout.visual)]
