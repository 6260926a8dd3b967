"""Open data by a short text, as the command line gives it."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

import platformdirs

from retinoscope.data.coco import read_coco
from retinoscope.data.fingerprint import digest
from retinoscope.data.folder import read_folder
from retinoscope.data.hub_datasets import read_datasets
from retinoscope.data.samples import Dataset
from retinoscope.errors import DataError

Sprites = Literal["train", "heldout"]

DEFAULT_COUNT = 400
"""Embedded scenes where no count is given."""

KINDS = ("embedded", "coco", "folder", "datasets")

POSSIBLE = (
    "embedded (the scenes that come with Retinoscope), embedded:COUNT, coco:PATH (a COCO folder "
    "or its instances JSON), folder:PATH (any folder of images), "
    "datasets:NAME_OR_PATH (a Hugging Face dataset)"
)


def open_data(
    spec: str, *, split: str | None = None, questions: Path | None = None, seed: int = 0
) -> Dataset:
    """Open the data that a text names.

    Args:
        spec: "embedded", "embedded:COUNT", "coco:PATH", "folder:PATH" or
            "datasets:NAME_OR_PATH?COLUMNS" (see `retinoscope.data.hub_datasets`).
        split: which split of a COCO folder or of a Hugging Face dataset that has several.
        questions: a JSON of questions by image id, for COCO; see `read_questions`.
        seed: of the embedded scenes.

    Raises:
        DataError: nothing known is named, or the data can't be read.
    """
    kind, _, rest = spec.partition(":")
    if questions is not None and kind != "coco":
        raise DataError(f"{questions}: questions by image id are read for coco:PATH alone.")
    if kind == "embedded":
        count = rest or str(DEFAULT_COUNT)
        if not (count.isascii() and count.isdigit() and int(count) > 0):
            raise DataError(f"data {spec!r}: the count must be a whole number, at least 1.")
        return embedded_scenes(int(count), seed=seed)
    if kind == "coco" and rest:
        return read_coco(Path(rest).expanduser(), split, questions)
    if kind == "folder" and rest:
        return read_folder(Path(rest).expanduser())
    if kind == "datasets" and rest:
        return read_datasets(rest, split)
    raise DataError(f"data {spec!r} is not known. Possible: {POSSIBLE}.")


def open_images(text: str, *, split: str | None = None) -> Dataset:
    """Images that a text names: as `open_data`, or the bare path of a folder of images.

    Raises:
        DataError: there is no such folder, or the data can't be read.
    """
    if text.partition(":")[0] in KINDS:
        return open_data(text, split=split)
    return read_folder(Path(text).expanduser())


def embedded_scenes(count: int, *, seed: int = 0, sprites: Sprites = "train") -> Dataset:
    """The embedded scenes, written once into the user's cache and read as any COCO folder.

    The cache's key holds count, seed, sprites and a fingerprint of the code and sprites that
    compose the scenes, so that another version never reads stale ones. The cache may be deleted
    at any time.

    Args:
        count: number of scenes, at least 1.
        seed: of their composition.
        sprites: the set that the model was trained on, or the one held out.

    Raises:
        DataError: the cache folder can't be written.
    """
    # Imported here: composing needs the sprite atlas, which other sources never touch.
    from retinoscope.data.scenes.write import write_scenes

    cache = Path(platformdirs.user_cache_dir("retinoscope")) / "scenes" / _scenes_version()
    folder = cache / f"{sprites}-seed{seed}-{count}"
    if not folder.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            write_scenes(folder, count=count, seed=seed, sprites=sprites)
        except OSError as error:
            raise DataError(
                f"{folder}: the embedded scenes can't be written ({error}). Make the folder "
                "writable, or set XDG_CACHE_HOME to one that is."
            ) from error
    return replace(read_coco(folder), name=f"embedded {sprites} x{count} seed {seed}")


def _scenes_version() -> str:
    """A fingerprint of the package that composes the scenes, sprites included."""
    root = Path(str(files("retinoscope.data.scenes")))
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
    names = [path.relative_to(root).as_posix().encode() for path in paths]
    return digest([*names, *(path.read_bytes() for path in paths)])
