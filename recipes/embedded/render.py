"""Write the data of every training into a work folder: `python -m recipes.embedded.render`.

Text comes first, then scenes to measure on, then the scenes to train on, chunk by chunk, for as
long as there is time. Trainings follow while it goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from recipes.embedded.pool import CHUNK, read_rows, render_chunk, write_chunk, write_text
from recipes.embedded.rows import Rows, join_rows
from recipes.embedded.text import (
    Document,
    RasterKind,
    raster_document,
    sentence_document,
    vocabulary,
)
from recipes.embedded.words import Words
from retinoscope.data.scenes.sprites import SpriteSplit

SEEDS = {"train": 1, "validation": 2, "heldout": 3}
"""Of the scenes to train on, and of those to measure on with seen and with unseen sprites."""
RASTERS = 22
"""Of a hundred documents so many are rasters."""
PART = 1000
"""Documents of a file."""
FIRST = 12
"""Chunks of scenes to train on that come before those to measure on, so that training begins."""
KINDS: dict[str, RasterKind | None] = {
    "raster": "plain",
    "sentences": None,
    "shuffled": "shuffled",
    "distracted": "distracted",
}


def is_raster(number: int) -> bool:
    """Whether a document is a raster where its kind of text has rasters."""
    return number % 100 < RASTERS


def document(kind: RasterKind | None, seed: int, number: int) -> Document:
    """Return one document."""
    rng = np.random.default_rng((seed, number, 9))
    return sentence_document(rng) if kind is None else raster_document(rng, None, kind)


def text_file(work: Path, name: str, part: int) -> Path:
    """Return the file of a part of a kind of text; of rasters it holds them alone."""
    return work / "text" / f"{name}-{part:03d}.npz"


def text_files(work: Path, name: str, count: int) -> list[Path]:
    """Return the files that a kind of text is made of."""
    parts = range(-(-count // PART))
    names = ("sentences",) if name == "sentences" else ("sentences", name)
    return [text_file(work, each, part) for part in parts for each in names]


def read_text(work: Path, name: str, count: int) -> Rows:
    """Read a kind of text; documents that are sentences are the same in every kind."""
    parts = []
    for part in range(-(-count // PART)):
        (rows,) = read_rows([text_file(work, "sentences", part)])
        if name != "sentences":
            (rasters,) = read_rows([text_file(work, name, part)])
            numbers = [i for i in range(len(rows)) if is_raster(part * PART + i)]
            for field, array in rows.arrays().items():
                array[numbers] = rasters.arrays()[field]
        parts.append(rows)
    return join_rows(parts)


def read_words(work: Path) -> Words:
    """Return the vocabulary of a work folder."""
    return Words(json.loads((work / "words.json").read_text("utf-8")))


def _write_text(target: Path, name: str, part: int, count: int, seed: int, work: Path) -> None:
    kind = KINDS[name]
    numbers = [part * PART + i for i in range(count)]
    documents = [document(kind, seed, i) for i in numbers if kind is None or is_raster(i)]
    write_text(target, documents, part + 1000 * seed, read_words(work))


def _render(work: Path, split: str, number: int, sprites: SpriteSplit, until: float) -> None:
    file = work / split / f"{number:05d}.npz"
    if not file.exists() and time.time() < until:
        chunk = render_chunk(SEEDS[split], number, CHUNK, sprites, read_words(work))
        write_chunk(work / split, number, chunk)


def render(
    work: Path, images: int, measured: int, texts: int, seconds: float, workers: int
) -> None:
    """Write everything.

    Args:
        work: folder; what is there stays.
        images: scenes to train on at most.
        measured: scenes of each set to measure on.
        texts: documents of each kind.
        seconds: no chunk is begun after so long.
        workers: processes.
    """
    work.mkdir(parents=True, exist_ok=True)
    partial_file = work / ".words.json"
    partial_file.write_text(json.dumps(vocabulary()), "utf-8")
    partial_file.replace(work / "words.json")
    until = time.time() + seconds
    with ProcessPoolExecutor(workers, get_context("fork"), partial(os.nice, 2)) as pool:
        jobs = []
        for part in range(-(-texts // PART)):
            count = min(PART, texts - part * PART)
            for name in KINDS:
                target = text_file(work, name, part)
                jobs.append(pool.submit(_write_text, target, name, part, count, 1, work))
        target = text_file(work, "measured", 0)
        jobs.append(pool.submit(_write_text, target, "sentences", 0, min(300, texts), 2, work))
        for number in range(min(FIRST, images // CHUNK)):
            jobs.append(pool.submit(_render, work, "train", number, "train", until))
        for split in ("validation", "heldout"):
            sprites: SpriteSplit = "heldout" if split == "heldout" else "train"
            for number in range(-(-measured // CHUNK)):
                jobs.append(pool.submit(_render, work, split, number, sprites, until))
        for number in range(FIRST, images // CHUNK):
            jobs.append(pool.submit(_render, work, "train", number, "train", until))
        for job in jobs:
            job.result()
    print("rendered", len(list((work / "train").glob("[0-9]*.npz"))) * CHUNK, flush=True)


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m recipes.embedded.render", description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--measured", type=int, default=500)
    parser.add_argument("--texts", type=int, default=40_000)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    render(given.work, given.images, given.measured, given.texts, given.seconds, given.workers)


if __name__ == "__main__":
    main()
