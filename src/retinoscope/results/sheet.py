"""The logit lens of one whole image, as data: what a lens page draws, apart from its drawing."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retinoscope.errors import DamagedError, RunError
from retinoscope.results.sealed import read_sealed, write_sealed

_OTHER = (ValueError, KeyError, TypeError, IndexError)
"""What numpy and json raise on a whole file of another version."""

_ARRAYS = {
    "boxes": np.float32,
    "cells": np.int32,
    "top": np.int32,
    "probabilities": np.float32,
    "entropy": np.float32,
    "tracked_log_probability": np.float32,
    "tracked_rank": np.int32,
}


@dataclass(frozen=True)
class ObjectOutline:
    """An object to outline on a lens page.

    Attributes:
        class_name: the category's name.
        polygons: closed outlines in original-image pixels, each a tuple of (x, y) points.
        tokens: indices (into the sheet's tokens) of the visual tokens on the object.
    """

    class_name: str
    polygons: tuple[tuple[tuple[float, float], ...], ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class LensSheet:
    """Top words of every visual token at every layer, for one image and one condition.

    L layers (0 = embedding output), N visual tokens, K words each, W tracked words.

    Attributes:
        title: what to call the image (file name or id).
        prompt: the question that was asked.
        answer: the model's answer.
        model: the model's name.
        condition: "clean", or the intervention in words.
        image: the original image as PNG or JPEG bytes.
        size: (width, height) of the original image in pixels.
        boxes: float32 [N, 4], each token's box in original-image pixels, (x0, y0, x1, y1).
        cells: int32 [N, 3], each token's (tile, row, column) in its grid.
        vocabulary: the decoded words that `top` refers to (text, never markup).
        top: int32 [L, N, K], indices into `vocabulary`, best first.
        probabilities: float32 [L, N, K], their probabilities, 0 to 1.
        entropy: float32 [L, N], in nats.
        tracked: words whose probability is kept for every token and layer (class words).
        tracked_log_probability: float32 [W, L, N], natural log.
        tracked_rank: int32 [W, L, N], 0 is the top.
        objects: the objects to outline.
    """

    title: str
    prompt: str
    answer: str
    model: str
    condition: str
    image: bytes
    size: tuple[int, int]
    boxes: np.ndarray[Any, np.dtype[np.float32]]
    cells: np.ndarray[Any, np.dtype[np.int32]]
    vocabulary: tuple[str, ...]
    top: np.ndarray[Any, np.dtype[np.int32]]
    probabilities: np.ndarray[Any, np.dtype[np.float32]]
    entropy: np.ndarray[Any, np.dtype[np.float32]]
    tracked: tuple[str, ...]
    tracked_log_probability: np.ndarray[Any, np.dtype[np.float32]]
    tracked_rank: np.ndarray[Any, np.dtype[np.int32]]
    objects: tuple[ObjectOutline, ...]


def save_sheet(path: Path, sheet: LensSheet, run: str) -> None:
    """Write a sheet as a compressed `.npz` (arrays and JSON, no pickle), whole or not at all.

    The seal behind the archive is no part of it; `numpy.load` passes it over.

    Args:
        path: the file.
        sheet: what it holds.
        run: the key of the run that it is of.

    Raises:
        RunError: the sheet's arrays don't fit each other, or the file can't be written.
    """
    check_sheet(sheet)
    # JSON's \u escapes also carry lone surrogates, which a vocabulary may hold.
    text = {
        name: getattr(sheet, name)
        for name in ("title", "prompt", "answer", "model", "condition", "size", "vocabulary")
    } | {
        "tracked": sheet.tracked,
        "objects": [
            {"class_name": o.class_name, "polygons": o.polygons, "tokens": o.tokens}
            for o in sheet.objects
        ],
    }
    arrays = {name: getattr(sheet, name).astype(kind) for name, kind in _ARRAYS.items()}
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        allow_pickle=False,
        text=np.frombuffer(json.dumps(text).encode("ascii"), np.uint8),
        image=np.frombuffer(sheet.image, np.uint8),
        **arrays,
    )
    write_sealed(path, stream.getvalue(), run, _name(path))


def damaged_sheets(folder: Path, run: str) -> list[Path]:
    """The sheets of a folder that are not as they were written.

    Raises:
        RunError: one is of another run.
    """
    found = []
    for path in sorted(folder.glob("*.npz")):
        try:
            read_sealed(path, run, _name(path))
        except DamagedError:
            found.append(path)
    return found


def load_sheet(path: Path, run: str) -> LensSheet:
    """Read a sheet that `save_sheet` wrote.

    Args:
        path: the file.
        run: the key of the run that it must be of.

    Raises:
        DamagedError: a byte of it is not as it was written.
        RunError: the file is missing, or of another run or version.
    """
    content = read_sealed(path, run, _name(path))
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            text = json.loads(stored["text"].tobytes())
            arrays = {name: stored[name].astype(kind) for name, kind in _ARRAYS.items()}
            image = stored["image"].tobytes()
        sheet = LensSheet(
            **{name: text[name] for name in ("title", "prompt", "answer", "model", "condition")},
            image=image,
            size=(int(text["size"][0]), int(text["size"][1])),
            vocabulary=tuple(text["vocabulary"]),
            tracked=tuple(text["tracked"]),
            objects=tuple(_outline(o) for o in text["objects"]),
            **arrays,
        )
    except _OTHER as error:
        raise RunError(
            f"{path} is whole, but not a lens sheet of this version ({error}). Delete it and give "
            "the run's command again with the same --out: it is drawn again."
        ) from error
    check_sheet(sheet)
    return sheet


def check_sheet(sheet: LensSheet) -> None:
    """Make sure that a sheet's arrays fit each other.

    Raises:
        RunError: a shape is wrong, or an index points outside; the message says which.
    """
    layers, tokens, best = sheet.top.shape if sheet.top.ndim == 3 else (0, 0, 0)
    expected = {
        "top": (layers, tokens, best),
        "boxes": (tokens, 4),
        "cells": (tokens, 3),
        "probabilities": (layers, tokens, best),
        "entropy": (layers, tokens),
        "tracked_log_probability": (len(sheet.tracked), layers, tokens),
        "tracked_rank": (len(sheet.tracked), layers, tokens),
    }
    for name, shape in expected.items():
        if getattr(sheet, name).shape != shape:
            raise RunError(
                f"lens sheet {sheet.title!r}: {name} has shape {getattr(sheet, name).shape}, "
                f"expected {shape}"
            )
    if sheet.top.size and not 0 <= sheet.top.min() <= sheet.top.max() < len(sheet.vocabulary):
        raise RunError(f"lens sheet {sheet.title!r}: top points outside its vocabulary")
    for outline in sheet.objects:
        if outline.tokens and not 0 <= min(outline.tokens) <= max(outline.tokens) < tokens:
            raise RunError(
                f"lens sheet {sheet.title!r}: object {outline.class_name!r} has tokens outside "
                f"0 to {tokens - 1}"
            )


def _name(path: Path) -> str:
    """What a sheet is in its run folder."""
    return f"lens/{path.stem}"


def _outline(stored: dict[str, Any]) -> ObjectOutline:
    return ObjectOutline(
        class_name=stored["class_name"],
        polygons=tuple(tuple((float(x), float(y)) for x, y in p) for p in stored["polygons"]),
        tokens=tuple(int(t) for t in stored["tokens"]),
    )
