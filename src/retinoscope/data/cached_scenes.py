"""The embedded scenes, composed once and kept in the user's cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Literal

import platformdirs
from filelock import FileLock

from retinoscope.data.coco import read_coco
from retinoscope.data.fingerprint import digest
from retinoscope.data.samples import Dataset
from retinoscope.errors import DataError

Sprites = Literal["train", "heldout"]

Composing = Callable[[int, int], None]
"""Is told how many scenes are composed, and how many there will be."""


def embedded_scenes(
    count: int,
    *,
    seed: int = 0,
    sprites: Sprites = "train",
    composing: Composing | None = None,
) -> Dataset:
    """The embedded scenes, written once into the user's cache and read as any COCO folder.

    The cache's key holds count, seed, sprites and a fingerprint of the code and sprites that
    compose the scenes, so that another version never reads stale ones. The cache may be deleted
    at any time.

    Args:
        count: number of scenes, at least 1.
        seed: of their composition.
        sprites: the set that the model was trained on, or the one held out.
        composing: called with how many scenes are composed and how many there will be, where
            they are not in the cache.

    Raises:
        DataError: the cache folder can't be written.
    """
    # Imported here: composing needs the sprite atlas, which other sources never touch.
    from retinoscope.data.scenes.write import write_scenes

    told = _told(composing, count)
    write = partial(write_scenes, count=count, seed=seed, sprites=sprites, progress=told)
    dataset = _cached(f"{sprites}-seed{seed}-{count}", write)
    return replace(dataset, name=f"embedded {sprites} x{count} seed {seed}")


def arranged_scenes(
    kind: str,
    count: int,
    *,
    seed: int = 0,
    sprites: Sprites = "train",
    composing: Composing | None = None,
) -> Dataset:
    """Embedded scenes in one kind of layout, cached as `embedded_scenes`.

    Args:
        kind: of the layout, see `retinoscope.data.scenes.arrange`; several, "rows+groups", take
            turns.
        count: number of scenes, at least 1.
        seed: of their composition.
        sprites: the set that the model was trained on, or the one held out.
        composing: called with how many scenes are composed and how many there will be, where
            they are not in the cache.

    Raises:
        DataError: the kind is unknown, or the cache folder can't be written.
    """
    from retinoscope.data.scenes.write import write_arranged

    told = _told(composing, count)
    write = partial(
        write_arranged, kind=kind, count=count, seed=seed, sprites=sprites, progress=told
    )
    dataset = _cached(f"{kind}-{sprites}-seed{seed}-{count}", write)
    return replace(dataset, name=f"arranged {kind} {sprites} x{count} seed {seed}")


def _told(composing: Composing | None, count: int) -> Callable[[int], None] | None:
    return None if composing is None else lambda done: composing(done, count)


def _cached(name: str, write: Callable[[Path], Path]) -> Dataset:
    """The folder of that name in the cache, written first where it is not there."""
    cache = Path(platformdirs.user_cache_dir("retinoscope")) / "scenes" / _scenes_version()
    folder = cache / name
    if not folder.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            # Of several processes that want the same scenes one composes them.
            with FileLock(cache / f"{name}.lock"):
                if not folder.is_dir():
                    write(folder)
        except OSError as error:
            raise DataError(
                f"{folder}: the embedded scenes can't be written ({error}). Make the folder "
                "writable, or set XDG_CACHE_HOME to one that is."
            ) from error
    return read_coco(folder)


def _scenes_version() -> str:
    """A fingerprint of the package that composes the scenes, sprites included."""
    root = Path(str(files("retinoscope.data.scenes")))
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
    names = [path.relative_to(root).as_posix().encode() for path in paths]
    return digest([*names, *(path.read_bytes() for path in paths)])
