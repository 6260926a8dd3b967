"""Probe a token map: change the pixels of one cell, see which position of the sequence moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from retinoscope.models import Checkpoint, encode
from retinoscope.models.vision import first_states, local_vision
from retinoscope.tokens import VisualSpan

TRACE = 0.1
"""Resampling leaks a little over a cell's edge: a change this share of the largest is no move."""


@dataclass(frozen=True)
class Probe:
    """What changing the pixels of one cell did.

    Attributes:
        cell: index of the cell in the grid.
        position: where the map says that its token stands.
        moved: the position that moved most, among all that are not of another resolution.
        others: positions that moved although the map says that they can't have seen the pixels.
    """

    cell: int
    position: int
    moved: int
    others: tuple[int, ...]

    @property
    def right(self) -> bool:
        """The cell's own token moved most, and nothing else that should not have."""
        return self.moved == self.position and not self.others


def probe_cells(
    checkpoint: Checkpoint, image: Image.Image, question: str, count: int = 8, seed: int = 0
) -> list[Probe]:
    """Probe some cells of an image: the first, the last, and others at random.

    The vision tower's attention is silenced, so that a token sees its own cell alone, and the
    states are read where the first decoder layer reads them: tiling, packing and merging are the
    model's own.

    Args:
        checkpoint: the model; it is as before afterwards.
        image: an RGB image.
        question: the question of the prompt.
        count: how many cells to probe.
        seed: which cells, and how pixels are changed.

    Returns:
        One Probe for each cell that covers at least one pixel after a margin for resampling.

    Raises:
        ModelError: the tower's attention can't be silenced.
        TokenMapError: the visual tokens have no place in the image.
    """
    encoded = encode(checkpoint, image, question)
    (span,) = encoded.layout.spans
    boxes = span.grid.boxes
    drawn = np.random.default_rng(seed).permutation(len(boxes))
    chosen = dict.fromkeys([0, len(boxes) - 1, *drawn.tolist()])
    probes: list[Probe] = []
    with local_vision(checkpoint):
        clean = first_states(checkpoint, encoded.inputs)[0].float()
        for cell in chosen:
            altered = _altered(image, boxes[cell])
            if altered is None:
                continue
            again = encode(checkpoint, altered, question)
            after = first_states(checkpoint, again.inputs)[0].float()
            change = (after - clean).norm(dim=-1).numpy(force=True)
            probes.append(_probe(span, cell, change))
            if len(probes) == count:
                break
    return probes


def _altered(image: Image.Image, box: Float[np.ndarray, " 4"]) -> Image.Image | None:
    """The image with the inner half of a cell changed as strongly as possible; None if empty."""
    margin = np.tile((box[2:] - box[:2]) / 4, 2) * np.array([1, 1, -1, -1])
    x0, y0, x1, y1 = np.round(box + margin).astype(int)
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, image.width), min(y1, image.height)
    if x1 <= x0 or y1 <= y0:
        return None
    pixels = np.array(image.convert("RGB"))
    # Each channel goes to the end of its range that is farther away: never less than half of it.
    inner = pixels[y0:y1, x0:x1]
    pixels[y0:y1, x0:x1] = np.where(inner < 128, 255, 0)
    return Image.fromarray(pixels)


def _probe(span: VisualSpan, cell: int, change: Float[np.ndarray, " length"]) -> Probe:
    boxes, levels = span.grid.boxes, span.grid.cells[:, 0]
    box, position = boxes[cell], span.positions[cell]
    overlap = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    seen = np.flatnonzero(np.all(overlap > 0, axis=-1)).tolist()
    elsewhere = {span.positions[i] for i in seen if levels[i] != levels[cell]}
    ranked = [p for p in np.argsort(-change).tolist() if p not in elsewhere]
    near = _near(span, cell)
    allowed = elsewhere | near | {position}
    others = tuple(p for p in ranked if p not in allowed and change[p] > TRACE * change[position])
    return Probe(cell, position, ranked[0], others)


def _near(span: VisualSpan, cell: int) -> set[int]:
    """Tokens next to a cell in its own resolution, which resampling and blending may reach."""
    cells = span.grid.cells
    steps = np.abs(cells[:, 1:] - cells[cell, 1:]).max(-1)
    beside = np.logical_and(cells[:, 0] == cells[cell, 0], steps == 1)
    return {span.positions[i] for i in np.flatnonzero(beside).tolist()}
