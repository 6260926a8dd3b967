"""Render pools of scenes once, so that training reads them from disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int8, Int16, UInt8

from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.compose import Scene, compose
from retinoscope.data.scenes.language import Fact
from retinoscope.data.scenes.layout import SIZE
from retinoscope.data.scenes.sprites import SpriteSplit

GRID = 12
PATCH = SIZE // GRID
BACKGROUND = len(NAMES)
UNSURE = -1
# A patch belongs to a thing that covers this share of it, to the background below the other.
BELONGS, FREE = 0.35, 0.08
CHUNK = 500


@dataclass(frozen=True)
class Pool:
    """Scenes in arrays.

    Attributes:
        images: RGB.
        labels: class number of each patch, `BACKGROUND`, or `UNSURE` at borders.
        boxes: (left, top, right, bottom) of up to three things in pixels, -1 where there is none.
        facts: what language says of each scene.
    """

    images: UInt8[np.ndarray, "n 192 192 3"]
    labels: Int8[np.ndarray, "n 144"]
    boxes: Int16[np.ndarray, "n 3 4"]
    facts: list[list[Fact]]


def patch_labels(scene: Scene) -> Int8[np.ndarray, " 144"]:
    """Label each patch with the thing that covers most of it."""
    masks = np.stack([o.mask for o in scene.objects]).astype(np.float32)
    cover = masks.reshape(-1, GRID, PATCH, GRID, PATCH).mean((2, 4)).reshape(-1, GRID * GRID)
    numbers = np.array([NAMES.index(o.name) for o in scene.objects])
    most = cover.max(0)
    labels = np.where(most >= BELONGS, numbers[cover.argmax(0)], UNSURE)
    return np.where(most < FREE, BACKGROUND, labels).astype(np.int8)


def _render_chunk(
    seed: int, start: int, count: int, sprites: SpriteSplit
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    scenes = [compose(seed, i, sprites) for i in range(start, start + count)]
    boxes = np.full((count, 3, 4), -1, np.int16)
    for row, scene in zip(boxes, scenes, strict=True):
        row[: len(scene.objects)] = [o.box for o in scene.objects]
    facts = [
        json.dumps([[f.name, f.row, f.column, f.colour] for f in scene.facts]) for scene in scenes
    ]
    labels = np.stack([patch_labels(scene) for scene in scenes])
    return np.stack([scene.image for scene in scenes]), labels, boxes, facts


def render_pool(
    folder: Path, count: int, seed: int, sprites: SpriteSplit, workers: int = 2
) -> None:
    """Render `count` scenes into a folder; a finished folder is left as it is."""
    if (folder / "facts.jsonl").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    images = np.lib.format.open_memmap(
        folder / "images.npy", "w+", np.uint8, (count, SIZE, SIZE, 3)
    )
    labels, boxes, facts = [], [], []
    starts = range(0, count, CHUNK)
    with ProcessPoolExecutor(workers) as pool:
        parts: Iterator = pool.map(
            _render_chunk,
            [seed] * len(starts),
            starts,
            [min(CHUNK, count - s) for s in starts],
            [sprites] * len(starts),
        )
        for start, (pixels, patches, corners, lines) in zip(starts, parts, strict=True):
            images[start : start + len(pixels)] = pixels
            labels.append(patches)
            boxes.append(corners)
            facts += lines
    images.flush()
    np.save(folder / "labels.npy", np.concatenate(labels))
    np.save(folder / "boxes.npy", np.concatenate(boxes))
    (folder / "facts.jsonl").write_text("\n".join(facts) + "\n", "utf-8")


def read_pool(folder: Path) -> Pool:
    """Open a rendered pool; images stay on disk."""
    lines = (folder / "facts.jsonl").read_text("utf-8").splitlines()
    return Pool(
        np.load(folder / "images.npy", mmap_mode="r"),
        np.load(folder / "labels.npy"),
        np.load(folder / "boxes.npy"),
        [[Fact(*fields) for fields in json.loads(line)] for line in lines],
    )
