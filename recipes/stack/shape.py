"""The shape of a small LLaVA: a CLIP tower, a projector and an untied Llama decoder."""

from __future__ import annotations

from dataclasses import dataclass

GRID = 12
PATCH = 16
PATCHES = GRID * GRID
PIXELS = 3 * PATCH * PATCH
# Pixels are scaled to [0, 1] and then normalised with these, on every channel.
PIXEL_MEAN, PIXEL_STD = 0.5, 0.25


@dataclass(frozen=True)
class Shape:
    """Sizes of one model.

    Attributes:
        width: of tower and decoder.
        heads: of both.
        vision_layers: layers of the tower.
        vision_hidden: width between the two matrices of a layer of the tower.
        decoder_layers: layers of the decoder.
        decoder_hidden: width between the matrices of a gated layer of the decoder.
        vocabulary: number of words.
    """

    width: int
    heads: int
    vision_layers: int
    vision_hidden: int
    decoder_layers: int
    decoder_hidden: int
    vocabulary: int

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads
