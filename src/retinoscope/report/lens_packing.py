"""A lens sheet packed for its page: a JSON header, and all arrays as one compressed block.

33 layers x 2,900 tokens x 5 words take about 2 MB so. Probabilities are kept as -ln p in steps of
1/2000 nat (0.05 % of the value), entropies in 65,535 steps of the largest.
"""

from __future__ import annotations

import base64
import gzip
from typing import Any

import numpy as np

from retinoscope.report.best_layer import opening
from retinoscope.report.templating import data_uri
from retinoscope.report.visible import visible
from retinoscope.results.sheet import LensSheet

LOG_STEP = 2000
_JS = {"f4": "Float32Array", "i4": "Int32Array", "u2": "Uint16Array", "u4": "Uint32Array"}

Array = np.ndarray[Any, np.dtype[Any]]


def pack(sheet: LensSheet) -> tuple[dict[str, Any], str]:
    """Pack one sheet.

    Returns:
        The header (texts as they are shown; where each array lies in the block), and the block:
        little-endian arrays, gzip, base64.
    """
    layers, tokens, best = sheet.top.shape
    opens, reason = opening(sheet)
    highest = float(sheet.entropy.max(initial=0.0)) or 1.0
    block, places = _block(
        {
            "boxes": sheet.boxes.astype("<f4"),
            "cells": sheet.cells.astype("<i4"),
            "top": _smallest(sheet.top),
            "surprise": _surprise(np.log(np.maximum(sheet.probabilities, 1e-14))),
            "entropy": np.round(np.nan_to_num(sheet.entropy) / highest * 65535).astype("<u2"),
            "trackedSurprise": _surprise(sheet.tracked_log_probability),
            "trackedRank": _smallest(sheet.tracked_rank),
        }
    )
    header = {
        "title": visible(sheet.title),
        "prompt": visible(sheet.prompt, lines=True),
        "answer": visible(sheet.answer, lines=True),
        "model": visible(sheet.model),
        "condition": visible(sheet.condition),
        "layers": layers,
        "tokens": tokens,
        "best": best,
        "opens": opens,
        "reason": reason,
        "vocabulary": [visible(word) for word in sheet.vocabulary],
        "tracked": [visible(word) for word in sheet.tracked],
        "image": data_uri(image_kind(sheet.image), sheet.image),
        "size": list(sheet.size),
        "objects": [_object(outline) for outline in sheet.objects],
        "views": views(sheet),
        "entropyMax": highest,
        "logStep": LOG_STEP,
        "arrays": places,
    }
    return header, base64.b64encode(gzip.compress(block, 6, mtime=0)).decode("ascii")


def views(sheet: LensSheet) -> list[list[int]]:
    """Which tokens can be drawn together: tiles that overlap (an overview and its parts) can't.

    Returns:
        Lists of tokens; every token is in exactly one.
    """
    layers: list[tuple[list[int], list[Array]]] = []
    for tile in np.unique(sheet.cells[:, 0]):
        members = np.flatnonzero(sheet.cells[:, 0] == tile)
        boxes = sheet.boxes[members]
        bounds = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
        for tokens, others in layers:
            if all(_overlap(bounds, other) < 0.1 for other in others):
                tokens.extend(members.tolist())
                others.append(bounds)
                break
        else:
            layers.append((members.tolist(), [bounds]))
    return [sorted(tokens) for tokens, _ in layers]


def image_kind(image: bytes) -> str:
    """The media type of PNG or JPEG bytes, by how they begin."""
    return "image/png" if image.startswith(b"\x89PNG") else "image/jpeg"


def _overlap(one: Array, other: Array) -> float:
    """Intersection over the smaller area; 0 for boxes without area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    if width <= 0 or height <= 0 or smaller <= 0:
        return 0.0
    return float(width * height / smaller)


def _block(arrays: dict[str, Array]) -> tuple[bytes, dict[str, list[Any]]]:
    parts, places, offset = [], {}, 0
    for name, array in arrays.items():
        content = np.ascontiguousarray(array).tobytes()
        places[name] = [_JS[array.dtype.str[1:]], offset, array.size]
        # Typed arrays must begin at a multiple of their element's size.
        content += b"\0" * (-len(content) % 4)
        parts.append(content)
        offset += len(content)
    return b"".join(parts), places


def _smallest(array: Array) -> Array:
    return array.astype("<u2" if array.max(initial=0) < 65536 else "<u4")


def _surprise(log_probability: Array) -> Array:
    known = np.nan_to_num(log_probability, nan=-np.inf)
    return np.round(np.clip(-known * LOG_STEP, 0, 65535)).astype("<u2")


def _object(outline: Any) -> dict[str, Any]:
    return {
        "name": visible(outline.class_name),
        "polygons": [[[round(x, 1), round(y, 1)] for x, y in p] for p in outline.polygons],
        "tokens": list(outline.tokens),
    }
