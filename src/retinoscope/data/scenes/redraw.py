"""Redraw: what a sample of our scenes was drawn from, such as to draw it with one change."""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from retinoscope.data.samples import Sample
from retinoscope.data.scenes.arrange import in_turn
from retinoscope.data.scenes.compose import compose
from retinoscope.data.scenes.layouts import Layout
from retinoscope.data.scenes.render import render
from retinoscope.data.scenes.sprites import SpriteSplit


def layout_of(sample: Sample, image: UInt8[np.ndarray, "height width 3"]) -> Layout | None:
    """The layout that a sample was drawn from; None where it is no arranged scene of ours.

    What the folder says of itself is never taken on trust: the layout is drawn again, and must
    give the very same pixels.

    Args:
        sample: an image of a folder of `write_arranged`, or any other.
        image: its pixels.
    """
    info = _info(_file(sample))
    if info is None or "kind" not in info:
        return None
    layout = in_turn(info["kind"], info["seed"], sample.image_id - 1, info["sprites"])
    return layout if np.array_equal(render(layout).image, image) else None


def theme_of(sample: Sample, image: UInt8[np.ndarray, "height width 3"]) -> str | None:
    """The theme of an embedded scene ("kitchen"); None where the image is no scene of ours.

    As for layouts, it is drawn again and must give the very same pixels.

    Args:
        sample: an image of a folder of `write_scenes` or `write_arranged`, or any other.
        image: its pixels.
    """
    info = _info(_file(sample))
    if info is None:
        return None
    if "kind" in info:
        layout = layout_of(sample, image)
        return None if layout is None else layout.theme
    theme, drawn = _scene(info["seed"], sample.image_id - 1, info["sprites"])
    return theme if _digest(image) == drawn else None


@lru_cache(maxsize=4096)
def _scene(seed: int, index: int, sprites: SpriteSplit) -> tuple[str, bytes]:
    """The theme of an embedded scene, and the digest of its pixels."""
    scene = compose(seed, index, sprites)
    return scene.theme, _digest(scene.image)


def _digest(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    return sha256(image.tobytes()).digest() + bytes(str(image.shape), "ascii")


def thing_at(layout: Layout, mask: Bool[np.ndarray, "height width"]) -> int | None:
    """Which thing of a layout is seen at exactly these pixels; None where none is."""
    for index, thing in enumerate(render(layout).objects):
        if np.array_equal(thing.mask, mask):
            return index
    return None


def _file(sample: Sample) -> Path:
    return sample.path.parent.parent / "annotations" / "instances.json"


@lru_cache(maxsize=4)
def _info(file: Path) -> dict[str, Any] | None:
    """What a folder of embedded scenes says it was drawn from."""
    if not file.is_file():
        return None
    info = json.loads(file.read_text("utf-8")).get("info")
    known = isinstance(info, dict) and {"seed", "sprites"} <= info.keys()
    return info if known else None
