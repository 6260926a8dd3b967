"""A tiny model in which one MLP writes an object's word, by hand-set weights, and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from PIL import Image

from retinoscope.data import Annotation, Sample
from retinoscope.engine import look
from retinoscope.experiments import Settings
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.target import Target
from retinoscope.models import Checkpoint, load
from retinoscope.results.own_settings import OwnSettings

WRITER = 1
"""The layer whose MLP writes the word."""

DOG = tiny.WORDS.index("dog")


def pictures(folder: Path, count: int, names: tuple[str, ...] = ("dog",)) -> list[Target]:
    """Grey pictures of 56 x 56, each with an object of four patches, every class in its colour."""
    found = []
    for index in range(count):
        x, y = 14 * (index % 3), 14 * (index // 3 % 3)
        pixels = np.full((56, 56, 3), 128, dtype=np.uint8)
        kind = index % len(names)
        pixels[y : y + 28, x : x + 28] = ((255, 0, 0), (0, 0, 255))[kind]
        path = folder / f"{index}.png"
        Image.fromarray(pixels).save(path)

        mask = np.zeros((56, 56), dtype=bool)
        mask[y : y + 28, x : x + 28] = True
        seen = folder / f"{index}-mask.png"
        Image.fromarray(mask).save(seen)
        thing = Annotation(index, names[kind], 784.0, (float(x), float(y), 28.0, 28.0), False, seen)
        sample = Sample(index, path, 56, 56, (thing,))
        found.append(Target(sample, thing, Image.fromarray(pixels), mask, "", "cat"))
    return found


def bench(checkpoint: Checkpoint, targets: list[Target]) -> Bench:
    pairs = [(one.sample, one.annotation) for one in targets]
    return Bench(checkpoint, ("dog", "cat"), pairs, Settings(tasks=("poll",)), OwnSettings())


def random_weights(folder: Path) -> Checkpoint:
    return load(tiny.save(folder))


def planted(folder: Path, target: Target) -> Checkpoint:
    """Nothing is written but by one MLP: "dog", wherever a patch is red."""
    checkpoint = load(tiny.save(folder))
    parts: Any = checkpoint.parts
    with torch.no_grad():
        for layer in parts.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        recording = look(checkpoint, target.image, "Describe this image.")
        states = recording.residual(0)
        visual = list(recording.layout.visual)
        red = states[visual[0]]
        grey = states[visual[-1]]
        seen = red - (red @ grey) / (grey @ grey) * grey
        mlp = parts.layers[WRITER].mlp
        mlp.gate_proj.weight[0] = seen / seen.norm()
        mlp.up_proj.weight[0] = seen / seen.norm()
        # The word points where nothing else does: neither red nor grey reads as it by itself.
        basis = torch.linalg.qr(torch.stack([red, grey]).T).Q
        rows = parts.head.weight
        rows[DOG] -= basis @ (basis.T @ rows[DOG])
        word = rows[DOG] / rows[DOG].norm()
        mlp.down_proj.weight[:, 0] = word
        written = look(checkpoint, target.image, "Describe this image.").residual(WRITER + 1)
        size = (written[visual[0]] - red) @ word
        # Enough to come first where it is written, and not where a quarter of it is: the mean of a
        # picture in which a quarter of the patches is red.
        mlp.down_proj.weight[:, 0] *= 2 * (rows @ red).max() / rows[DOG].norm() / size
    return checkpoint
