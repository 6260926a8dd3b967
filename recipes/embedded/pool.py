"""Render scenes with the rows of exchanges about them, chunk by chunk, while training goes on.

A chunk is one file, written beside its place and renamed. What a chunk holds follows from its
seed and number alone, whoever renders it and when.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int8, UInt8

from recipes.embedded.asking import COLOURED
from recipes.embedded.rows import Rows, empty_rows, fill_row, image_context, read_exchanges
from recipes.embedded.scenes import Drawn, draw_scene
from recipes.embedded.text import Document, text_rows
from recipes.embedded.words import Words
from recipes.stack.shape import PATCH
from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.colour import COLOURS
from retinoscope.data.scenes.layout import SIZE
from retinoscope.data.scenes.sprites import SpriteSplit

THINGS = 6
"""Most things of a scene."""
CHUNK = 100
# Rows of each image, by whether a thing is erased and whether the image may be recoloured.
ROWS_OF_IMAGE = (
    (False, False),
    (False, True),
    (False, False),
    (False, True),
    (True, False),
    (True, True),
)
HIDDEN = 0.4
"""An erased thing takes at most so much of any other thing with it."""
WHOLE = 4
"""So many of an image's rows, the first, are about the whole image."""


@dataclass(frozen=True)
class Chunk:
    """Scenes in arrays, with rows about them.

    Attributes:
        images: RGB.
        owners: 1 + number of the thing that each pixel shows, 0 for none.
        things: class, cell of the 3 x 3 grid, how many of its class less one, and colour, by
            number; -1 where there is no thing.
        rows: about the images, whose numbers count from the chunk's first.
    """

    images: UInt8[np.ndarray, "n 192 192 3"]
    owners: UInt8[np.ndarray, "n 192 192"]
    things: Int8[np.ndarray, "n 6 4"]
    rows: Rows


def render_chunk(seed: int, number: int, count: int, sprites: SpriteSplit, words: Words) -> Chunk:
    """Render the scenes of one chunk and lay out exchanges about each."""
    images = np.zeros((count, SIZE, SIZE, 3), np.uint8)
    owners = np.zeros((count, SIZE, SIZE), np.uint8)
    things = np.full((count, THINGS, 4), -1, np.int8)
    rows = empty_rows(count * len(ROWS_OF_IMAGE))
    for i in range(count):
        drawn = draw_scene(seed, number * CHUNK + i, sprites)
        rng = np.random.default_rng((seed, number * CHUNK + i, 77))
        images[i] = drawn.image
        known = Counter(fact.name for fact in drawn.facts)
        for at, (fact, mask) in enumerate(zip(drawn.facts, drawn.masks, strict=True)):
            owners[i][mask] = at + 1
            cell = 3 * fact.row + fact.column
            told = (NAMES.index(fact.name), cell, known[fact.name] - 1, COLOURS.index(fact.colour))
            things[i, at] = told
        first = i * len(ROWS_OF_IMAGE)
        _fill_rows(rows, first, i, drawn, words, rng)
    return Chunk(images, owners, things, rows)


def _fill_rows(
    rows: Rows, first: int, image: int, drawn: Drawn, words: Words, rng: np.random.Generator
) -> None:
    context = image_context(words)
    whole = drawn.asker()
    for row, (erased, restyled) in enumerate(ROWS_OF_IMAGE, first):
        asker, denied = whole, ()
        lost = choose_lost(drawn, rng) if erased else None
        if lost is not None:
            gone, rows.erased[row] = lost
            asker, denied = drawn.asker(gone), (drawn.facts[gone].name,)
        rows.image[row], rows.restyled[row] = image, restyled
        draw = asker.drawing(rng, COLOURED if restyled else (), denied)
        fill_row(rows, row, context, draw, words)


def choose_lost(
    drawn: Drawn, rng: np.random.Generator
) -> tuple[int, tuple[int, int, int, int]] | None:
    """Choose a thing to erase, for half of the things with one more patch all around.

    Returns:
        The thing's number and the patches that give way. None where every choice would hide most
        of another thing.
    """
    for gone in rng.permutation(len(drawn.masks)).tolist():
        for buffer in {int(rng.integers(2)), 0}:
            top, left, bottom, right = cells = touched_cells(drawn.masks[gone], buffer)
            window = slice(top * PATCH, bottom * PATCH), slice(left * PATCH, right * PATCH)
            others = [m for i, m in enumerate(drawn.masks) if i != gone]
            if all(mask[window].sum() <= HIDDEN * mask.sum() for mask in others):
                return gone, cells
    return None


def touched_cells(mask: np.ndarray, buffer: int) -> tuple[int, int, int, int]:
    """Return (first row, first column, past row, past column) of the patches a mask's box touches.

    Args:
        mask: pixels of a thing.
        buffer: so many more patches all around.
    """
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    ends = (ys[0] // PATCH, xs[0] // PATCH, ys[-1] // PATCH + 1, xs[-1] // PATCH + 1)
    grid = SIZE // PATCH
    top, left, bottom, right = (int(end) for end in ends)
    return (
        max(0, top - buffer),
        max(0, left - buffer),
        min(grid, bottom + buffer),
        min(grid, right + buffer),
    )


def write_chunk(folder: Path, number: int, chunk: Chunk) -> None:
    """Write a chunk under its number."""
    arrays = {"images": chunk.images, "owners": chunk.owners, "things": chunk.things}
    save(folder / f"{number:05d}.npz", arrays | chunk.rows.arrays())


def save(target: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as one file that is whole or not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    with partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    partial.replace(target)


def read_chunk(file: Path) -> Chunk:
    """Read a chunk."""
    with np.load(file) as arrays:
        held = dict(arrays)
    return Chunk(held.pop("images"), held.pop("owners"), held.pop("things"), Rows(**held))


def write_text(target: Path, documents: Sequence[Document], seed: int, words: Words) -> None:
    """Write rows of documents as one file; one that is there is left as it is."""
    if not target.exists():
        rng = np.random.default_rng((seed, 8))
        save(target, text_rows(documents, words, rng).arrays())


def read_rows(files: Sequence[Path]) -> list[Rows]:
    """Read files of rows."""
    found = []
    for file in files:
        with np.load(file) as arrays:
            found.append(Rows(**dict(arrays)))
    return found


@dataclass(frozen=True)
class Seen:
    """A scene as others train on it.

    Attributes:
        image: RGB.
        things: class, cell of the 3 x 3 grid, how many of its class less one, and colour of each.
        asked: (question, answer) pairs about the whole image, the answers as they are written.
        uncoloured: those of them that stay right when the image's colours change.
    """

    image: UInt8[np.ndarray, "192 192 3"]
    things: Int8[np.ndarray, "n 4"]
    asked: list[tuple[str, str]]
    uncoloured: list[tuple[str, str]]


def read_scenes(folder: Path, words: Words, count: int, first: int = 0) -> list[Seen]:
    """Read scenes with what is asked about them, also while more are being written.

    Args:
        folder: of chunks, as `write_chunk` leaves them.
        words: the vocabulary.
        count: scenes at most; fewer where fewer are written.
        first: number of the first scene, a multiple of `CHUNK`.
    """
    found: list[Seen] = []
    for number in range(first // CHUNK, -(-(first + count) // CHUNK)):
        file = folder / f"{number:05d}.npz"
        if not file.exists():
            break
        chunk = read_chunk(file)
        for i in range(min(len(chunk.images), count - len(found))):
            rows = range(i * len(ROWS_OF_IMAGE), i * len(ROWS_OF_IMAGE) + WHOLE)
            told = {row: read_exchanges(chunk.rows, row, words) for row in rows}
            things = chunk.things[i][chunk.things[i, :, 0] >= 0]
            free = [each for row in rows if chunk.rows.restyled[row] for each in told[row]]
            every = [each for row in rows for each in told[row]]
            found.append(Seen(chunk.images[i], things, every, free))
    return found
